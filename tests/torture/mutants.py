# SPDX-License-Identifier: GPL-2.0-or-later
"""Put small faults into gdbfpu, and count those that the unit tests find.

`python -m tests.torture.mutants [--most N] [--seed N] [GROUP ...]` prints a table by module, and
each fault that lives. With more than `--most` in a group, so many are drawn at random.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from gdbfpu.text.table import table
from tests.torture.fuzz.target import ROOT
from tests.torture.mutation.mutator import Mutant, mutants
from tests.torture.mutation.runner import Runner

GROUPS = {
    "decoder": (("gdbfpu/xsave/**/*.py",), ("xsave", "fpu")),
    "audit": (("gdbfpu/audit/*.py",), ("audit",)),
    "resume": (("gdbfpu/probes/re[st]*.py", "gdbfpu/probes/window.py"), ("probes", "fast")),
    "events": (
        ("gdbfpu/report/event_*.py", "gdbfpu/trace/event_file.py"),
        ("report", "trace"),
    ),
}
"""By name: the modules, and the folders of tests/unit that test them, beside tests/golden."""


def drawn(group: str, most: int, seed: int) -> tuple[int, list[Mutant]]:
    """Return how many mutants the group has, and at most `most` of them."""
    files = sorted(file for pattern in GROUPS[group][0] for file in ROOT.glob(pattern))
    every = [mutant for file in files for mutant in mutants(file)]
    if len(every) > most:
        chosen = sorted(Random(seed).sample(range(len(every)), most))
        return len(every), [every[number] for number in chosen]
    return len(every), every


def rows(chosen: list[Mutant], lived: list[Mutant]) -> Iterator[tuple[str, int, int, str]]:
    """Yield module, number of mutants, of the living, and the killed in percent."""
    by_file, living = (Counter(m.file for m in each) for each in (chosen, lived))
    for file, count in sorted(by_file.items()):
        yield _name(file), count, living[file], f"{100 * (1 - living[file] / count):.0f}"
    share = 100 * (1 - len(lived) / len(chosen))
    yield "all", len(chosen), len(lived), f"{share:.1f}"


def _name(file: Path) -> str:
    return str(file.relative_to(ROOT / "gdbfpu"))


def run(group: str, most: int, seed: int) -> bool:
    """Run the tests of `group` on its mutants, and print what lives; return whether 95 % died."""
    count, chosen = drawn(group, most, seed)
    runner = Runner(chosen)
    folders = [str(ROOT / "tests/unit" / folder) for folder in GROUPS[group][1]]
    words = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:faulthandler"]
    if pytest.main([*words, *folders, str(ROOT / "tests/golden")], plugins=[runner]):
        sys.exit(1)
    lived = runner.survivors + runner.untested
    print(f"{group}: {len(chosen)} of {count} mutants, seed {seed}")
    print(table(rows(chosen, lived), ("module", "mutants", "living", "killed %")))
    for mutant in lived:
        called = "" if mutant in runner.survivors else " (no test calls it)"
        print(f"{_name(mutant.file)}:{mutant.line} {mutant.name}: {mutant.what}{called}")
    return len(lived) <= 0.05 * len(chosen)


def main() -> int:
    """Run the groups that the command line names, or all; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.mutants", description=__doc__)
    parser.add_argument("--most", type=int, default=sys.maxsize, help="mutants of a group")
    parser.add_argument("--seed", type=int, default=17, help="of the draw")
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], metavar="GROUP")
    options = parser.parse_args()
    done = [run(group, options.most, options.seed) for group in options.groups or GROUPS]
    return int(not all(done))


if __name__ == "__main__":
    sys.exit(main())
