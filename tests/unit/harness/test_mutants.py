# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults that tests find and faults that they do not, in a module of a few lines."""

from __future__ import annotations

import subprocess
import sys
from types import FunctionType

from tests.torture.fuzz.target import ROOT
from tests.torture.mutation.mutator import code_of, mutants

MODULE = '''
LIMIT = 10


def limited(n):
    """Return `n`, at most LIMIT."""
    return n if n < LIMIT else LIMIT


class Box:
    @property
    def size(self) -> "int":
        return 3 + 1


def unused():
    return [x for x in "ab" if x]
'''
TESTS = """
from m import Box, limited

def test_limited():
    assert (limited(3), limited(30), Box().size) == (3, 10, 4)
"""
RUN = """
import pytest
from pathlib import Path
from tests.torture.mutation.mutator import mutants
from tests.torture.mutation.runner import Runner

runner = Runner(list(mutants(Path("{folder}/m.py"))))
status = pytest.main(["-q", "-p", "no:cacheprovider", "{folder}/test_m.py"], plugins=[runner])
print("status", int(status))
for name, each in (("live", runner.survivors), ("untested", runner.untested)):
    for mutant in each:
        print(name, mutant.name, mutant.what)
"""


def test_what_is_changed(tmp_path):
    file = tmp_path / "m.py"
    file.write_text(MODULE)
    found = {(mutant.name, mutant.line, mutant.what): code_of(mutant) for mutant in mutants(file)}
    assert sorted(found) == [
        ("Box.size", 13, "1 -> 2"),
        ("Box.size", 13, "3 + 1 -> None"),
        ("Box.size", 13, "3 -> 4"),
        ("Box.size", 13, "Add -> Sub"),
        ("limited", 7, "Lt -> LtE"),
        ("limited", 7, "n if n < LIMIT else LIMIT -> None"),
        ("unused", 17, "'ab' -> 'XXab'"),
        ("unused", 17, "[x for x in 'ab' if x] -> None"),
        ("unused", 17, "x -> not x"),
    ]
    faulty = FunctionType(found["Box.size", 13, "Add -> Sub"], {})
    assert faulty(None) == 2


def test_what_lives(tmp_path):
    """`<` and `<=` are the same there; what no test calls is told apart."""
    (tmp_path / "m.py").write_text(MODULE)
    (tmp_path / "test_m.py").write_text(TESTS)
    argv = [sys.executable, "-c", RUN.format(folder=tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120)
    said = done.stdout.partition("status ")[2].splitlines()
    assert sorted(said) == [
        "0",
        "live limited Lt -> LtE",
        "untested unused 'ab' -> 'XXab'",
        "untested unused [x for x in 'ab' if x] -> None",
        "untested unused x -> not x",
    ], done.stdout + done.stderr
