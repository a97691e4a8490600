# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the torture and print its table: `python -m tests.torture [--tenth] [PART ...]`.

The exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module

from gdbfpu.text.table import table
from tests.torture.row import Part, Row

PARTS = ("answers", "faults", "files", "load", "targets")
"""The modules of this folder with a part, each a function `rows`."""


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
    done, began = list[Row](), time.monotonic()
    for name in options.parts or PARTS:
        for row in part(name)(10 if options.tenth else 1):
            done.append(row)
            after = f"after {time.monotonic() - began:.0f} s"
            print(
                f"{row.what}: {row.times} times, {len(row.failures)} failed, {after}",
                file=sys.stderr,
            )
    print(table([(r.what, r.times, len(r.failures)) for r in done], ("what", "times", "failures")))
    for row in done:
        for failure in row.failures:
            print(f"{row.what}: {failure}")
    return int(any(row.failures for row in done))


if __name__ == "__main__":
    sys.exit(main())
