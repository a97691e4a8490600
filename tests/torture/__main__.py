# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the torture and print its table: `python -m tests.torture [--tenth] [PART ...]`.

The exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from gdbfpu.text.table import table
from tests.torture.row import Part, Row

LANES = (("faults", "load", "answers"), ("files", "targets"))
"""The modules of this folder with a part, each a function `rows`; lanes run side by side.

Machines take the first lane's time, and mostly a core; of the second, more than half is waiting.
"""
PARTS = tuple(itertools.chain(*LANES))


def part(name: str) -> Part:
    """Return the part called `name`."""
    rows: Part = import_module(f"tests.torture.{name}").rows
    return rows


def main() -> int:
    """Run the parts that the command line names, or all; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--tenth", action="store_true", help="do everything a tenth as often")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    chosen, began = options.parts or PARTS, time.monotonic()

    def run(lane: Sequence[str]) -> list[Row]:
        done = []
        for row in itertools.chain(*(part(name)(10 if options.tenth else 1) for name in lane)):
            done.append(row)
            after = f"after {time.monotonic() - began:.0f} s"
            said = f"{row.what}: {row.times} times, {len(row.failures)} failed, {after}"
            print(said, file=sys.stderr)
        return done

    with ThreadPoolExecutor(len(LANES)) as pool:
        lanes = [[name for name in lane if name in chosen] for lane in LANES]
        done = [*itertools.chain(*pool.map(run, lanes))]
    print(table([(r.what, r.times, len(r.failures)) for r in done], ("what", "times", "failures")))
    for row in done:
        for failure in row.failures:
            print(f"{row.what}: {failure}")
    return int(any(row.failures for row in done))


if __name__ == "__main__":
    sys.exit(main())
