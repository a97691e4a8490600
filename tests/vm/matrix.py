# SPDX-License-Identifier: GPL-2.0-or-later
"""`make test-kernels`: every kernel that can be had, over every stub it has, as a matrix."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from qemu.catalogue import Entry, load
from qemu.choice import availability
from qemu.cpus import asked_model, models
from qemu.errors import GivenError, HarnessError
from qemu.kernels import obtain
from tests.vm.trial import Outcome, trial

COLUMNS = (
    "kernel", "release", "`-cpu`", "stub", "boots", "switching, format", "hits traced of announced",
    "report's users right", "`fpu-state` right", "all",
)  # fmt: skip
FAILED = "FAILED"


def rows_of(entry: Entry) -> list[list[str]]:
    """Try one kernel over its stubs and CPUs; return its rows, the last cell whether it failed."""
    try:
        can, reason = availability(entry)
        if not can:
            raise HarnessError(f"{entry.name} {reason}")
        kernel = obtain(entry.name)
    except GivenError:
        raise
    except HarnessError as error:
        print(f"{entry.name}: not tried: {error}", flush=True)
        return [[entry.name, "not had", *[""] * (len(COLUMNS) - 3), "not tried"]]
    return [row_of(Outcome(kernel, cpu, stub)) for cpu in models(entry) for stub in entry.stubs]


def row_of(outcome: Outcome) -> list[str]:
    kernel, cpu, stub = outcome.kernel, outcome.cpu, outcome.stub
    started = time.monotonic()
    print(f"{kernel.name} ({kernel.version}), -cpu {cpu}, over {stub} ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="gdbfpu-") as folder:
        try:
            trial(outcome, Path(folder))
        except (HarnessError, AssertionError) as error:
            outcome.problems.append(f"{error}".strip())
    for problem in outcome.problems:
        print(f"  {problem}", flush=True)
    result = FAILED if outcome.problems else "passed"
    print(f"  {result}, {time.monotonic() - started:.0f} s", flush=True)
    cells = (outcome.boots, outcome.layouts, outcome.hits, outcome.users, outcome.state)
    return [kernel.name, kernel.version, f"`{cpu}`", stub, *(c or "no" for c in cells), result]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as a Markdown table."""
    filled = [COLUMNS, *rows]
    widths = [max(len(row[i]) for row in filled) for i in range(len(COLUMNS))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in filled
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def main() -> int:
    """Try the kernels; return 1 if something that was tried is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm.matrix", description=__doc__)
    parser.add_argument("names", nargs="*", help="kernels of the catalogue (default: all)")
    names = parser.parse_args().names
    rows = []
    try:
        asked_model()
        for entry in load().values():
            if not names or entry.name in names:
                rows += rows_of(entry)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    except GivenError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 1
    print(f"\n{table(rows)}")
    return int(not rows or any(row[-1] == FAILED for row in rows))


if __name__ == "__main__":
    sys.exit(main())
