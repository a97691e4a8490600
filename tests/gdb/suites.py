# SPDX-License-Identifier: GPL-2.0-or-later
"""`make test-gdbs`: the gdb tier and a trace over KGDB, with the GDB of each Debian suite."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from qemu import kernels
from qemu.cpus import model_for
from qemu.errors import SetupError
from qemu.gdbs import SUITES, obtain, versions_of
from qemu.session import kernel_name
from tests.vm.matrix import FAILED, row_of
from tests.vm.trial import Outcome

SYSTEM = "the system's"

_PARALLEL = ("-n", "2", "--dist", "loadfile")  # the tests mostly wait


@dataclass(frozen=True)
class Row:
    """What came of one suite's GDB; `passed` has an entry for each of the tests."""

    suite: str
    gdb: str
    python: str
    passed: tuple[bool, ...]
    seconds: float

    @property
    def cells(self) -> list[str]:
        results = ["passed" if passed else FAILED for passed in self.passed]
        return [self.suite, self.gdb, self.python, *results, f"{self.seconds:.0f} s"]


def tried(suite: str, tests: Sequence[Callable[[], bool]]) -> Row:
    """Run `tests` with the GDB of `suite`; raise SetupError."""
    program = "gdb" if suite == SYSTEM else obtain(suite)
    os.environ["GDB"] = str(program)
    versions = versions_of(program)
    print(f"GDB {versions.gdb}, Python {versions.python}: {suite}", flush=True)
    started = time.monotonic()
    passed = tuple(test() for test in tests)
    return Row(suite, versions.gdb, versions.python, passed, time.monotonic() - started)


def tier() -> bool:
    """Return whether the gdb tier passes with the GDB of the environment.

    The wheel is left out: its tests install it for the system's GDB.
    """
    left_out = "--ignore=tests/gdb/test_wheel.py"
    argv = [sys.executable, "-m", "pytest", *_PARALLEL, "tests/gdb", left_out]
    return not subprocess.run(argv).returncode


def trace() -> bool:
    """Return whether the guest's programs, traced over KGDB by that GDB, are seen as they are."""
    kernel = kernels.obtain(kernel_name())
    return row_of(Outcome(kernel, model_for(kernel), "kgdb"))[-1] != FAILED


def main() -> int:
    """Try the GDBs; return 1 if one is not to be had or a test fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.gdb.suites", description=__doc__)
    parser.add_argument("--newest", action="store_true", help="the gdb tier with the newest only")
    newest = parser.parse_args().newest
    tests = {"gdb tier": tier} if newest else {"gdb tier": tier, "trace over KGDB": trace}
    rows: list[Row] = []
    errors: list[str] = []
    for suite in SUITES[-1:] if newest else (SYSTEM, *SUITES):
        try:
            rows.append(tried(suite, [*tests.values()]))
        except SetupError as error:
            errors.append(f"gdbs: {suite}: {error}")
        except KeyboardInterrupt:
            errors.append(f"gdbs: {suite}: interrupted")
            break
    headers = ["suite", "GDB", "Python", *tests, "time"]
    print(f"\n{tabulate([row.cells for row in rows], headers, 'github')}", flush=True)
    print(*errors, sep="\n", end="\n" * bool(errors), file=sys.stderr)
    return int(bool(errors) or not all(all(row.passed) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
