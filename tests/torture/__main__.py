# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the torture and print its table: `python -m tests.torture [--tenth] [PART ...]`.

The exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from gdbfpu.text.table import table
from tests.torture.row import Row

LANES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("faults", "gdbstub"), ("load", "kgdb"), ("answers",)),
    (("faults", "kgdb"),),
    (("load", "gdbstub"), ("files",), ("targets",)),
)
"""Lanes that run side by side: modules of this folder with a part, each a function `rows`, and for
which stub. A quarter of the time of each is waiting, so that three lanes keep two cores busy."""
PARTS = tuple(dict.fromkeys(name for lane in LANES for name, *_ in lane))


def rows(divisor: int, name: str, *stub: str) -> Iterator[Row]:
    """Yield the rows of the part called `name`, over `stub` if it is one of machines.

    Everything is done as often as the part says, divided by `divisor`.
    """
    yield from import_module(f"tests.torture.{name}").rows(divisor, *stub)


def main() -> int:
    """Run the parts that the command line names, or all; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--tenth", action="store_true", help="do everything a tenth as often")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    chosen, began = options.parts or PARTS, time.monotonic()

    def run(lane: Sequence[Sequence[str]]) -> list[Row]:
        done = []
        parts = (rows(10 if options.tenth else 1, *part) for part in lane if part[0] in chosen)
        for row in itertools.chain(*parts):
            done.append(row)
            after = f"after {time.monotonic() - began:.0f} s"
            said = f"{row.what}: {row.times} times, {len(row.failures)} failed, {after}"
            print(said, file=sys.stderr)
        return done

    with ThreadPoolExecutor(len(LANES)) as pool:
        done = [*itertools.chain(*pool.map(run, LANES))]
    print(table([(r.what, r.times, len(r.failures)) for r in done], ("what", "times", "failures")))
    for row in done:
        for failure in row.failures:
            print(f"{row.what}: {failure}")
    return int(any(row.failures for row in done))


if __name__ == "__main__":
    sys.exit(main())
