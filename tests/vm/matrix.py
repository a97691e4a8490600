# SPDX-License-Identifier: GPL-2.0-or-later
"""`make test-kernels`: every kernel that can be had, over every stub it has, as a matrix."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
ANSWERS_COLUMNS = (
    "kernel", "release", "`-cpu`", "stub", "switching, format", "runs passed",
    "answers right", "of them `?`", "wrong",
)  # fmt: skip
FAILED = "FAILED"


def rows_of(entry: Entry, asked: argparse.Namespace, answers: Answers) -> list[list[str]]:
    """Try one kernel over the stubs and CPUs; return its rows, the last cell whether it failed.

    What became of each is noted in `answers`.
    """
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
    rows = []
    for cpu in models(entry):
        for stub in entry.stubs:
            if asked.stub not in (None, stub):
                continue
            outcome = Outcome(kernel, cpu, stub, asked.runs, entry.smp, entry.kaslr)
            rows.append(row_of(outcome))
            answers.note(outcome)
    return rows


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


class Answers:
    """What several runs of the programs came to, by kernel, CPU model and stub."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, ...], Counter[str]] = {}
        self._layouts: dict[tuple[str, ...], str] = {}

    def note(self, outcome: Outcome) -> None:
        """Count one more trace of a kernel over a stub."""
        kernel = outcome.kernel
        key = (kernel.name, kernel.version, f"`{outcome.cpu}`", outcome.stub)
        counts = self._counts.setdefault(key, Counter())
        counts.update(outcome.answers)
        counts.update(runs=outcome.runs, passed=outcome.runs if not outcome.problems else 0)
        self._layouts[key] = outcome.layouts or self._layouts.get(key, "")

    def rows(self) -> list[list[str]]:
        """Return a row for each kernel, CPU model and stub, as ANSWERS_COLUMNS has them."""
        return [[*key, self._layouts[key], *_cells(counts)] for key, counts in self._counts.items()]


def _cells(counts: Counter[str]) -> list[str]:
    """Return the cells of ANSWERS_COLUMNS that count something."""
    right = counts["right"] + counts["open"]
    return [
        f"{counts['passed']} of {counts['runs']}",
        f"{right} of {right + counts['wrong']}",
        str(counts["open"]),
        str(counts["wrong"]),
    ]


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep `count` processes of this machine busy beside the trials."""
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def table(rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> str:
    """Return the rows as a Markdown table."""
    filled = [columns, *rows]
    widths = [max(len(row[i]) for row in filled) for i in range(len(columns))]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in filled
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm.matrix", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", help="kernels of the catalogue (default: all)")
    add("--rounds", type=int, default=1, metavar="N",
        help="how often to boot and try each (default: 1)")  # fmt: skip
    add("--runs", type=int, default=1, metavar="N",
        help="how often the programs run in each trace (default: 1)")  # fmt: skip
    add("--stub", choices=("kgdb", "qemu"), help="only over this stub")
    add("--busy", type=int, default=0, metavar="N",
        help="keep N processes of this machine busy meanwhile (default: none)")  # fmt: skip
    return parser.parse_args()


def main() -> int:
    """Try the kernels; return 1 if something that was tried is wrong."""
    asked, answers = arguments(), Answers()
    rows: list[list[str]] = []
    try:
        asked_model()
        with busy(asked.busy):
            for _ in range(asked.rounds):
                for entry in load().values():
                    if not asked.names or entry.name in asked.names:
                        rows += rows_of(entry, asked, answers)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    except GivenError as error:
        print(f"matrix: {error}", file=sys.stderr)
        return 1
    print(f"\n{table(rows)}")
    if asked.rounds * asked.runs > 1:
        print(f"\n{table(answers.rows(), ANSWERS_COLUMNS)}")
    return int(not rows or any(row[-1] == FAILED for row in rows))


if __name__ == "__main__":
    sys.exit(main())
