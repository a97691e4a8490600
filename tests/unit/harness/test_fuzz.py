# SPDX-License-Identifier: GPL-2.0-or-later
"""The fuzzer of hostile files finds what is planted, and every target of it has a valid seed."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from tests.torture import files
from tests.torture.fuzz import judge
from tests.torture.fuzz.target import ROOT, load

PLANTED = {
    b"death": "died of SIGBUS",
    b"index": "IndexError: index out of range in planted.py:",
    b"memory": "takes too much memory: as a damaged file is refused",
    b"slow": "takes more than 2.0 s, in planted.py:",
}


def test_planted_faults_fail_the_row(tmp_path):
    """Each once, with the input that does it; what ends the process does not end the run."""
    row = files.fuzzed("planted", load("planted"), 20, tmp_path)
    assert row.times == 20
    told = {}
    for failure in row.failures:
        said, _, kept = failure.rpartition("; the input is ")
        told[(tmp_path / kept).read_bytes()] = said
    assert told.keys() == PLANTED.keys()
    for data, said in told.items():
        assert said.startswith(PLANTED[data])
    argv = [sys.executable, "-m", "tests.torture.fuzz.child", "planted"]
    for kept in sorted(tmp_path.iterdir()):
        done = subprocess.run([*argv, kept], cwd=ROOT, timeout=60)
        assert done.returncode == (-7 if kept.read_bytes() == b"death" else 1)


def test_memory_that_was_used(monkeypatch):
    monkeypatch.setattr(judge, "BYTES", 1 << 20)
    assert judge.verdict(load("planted"), b"fine") == ("memory", "takes more than 1048576 bytes")


@pytest.fixture
def own_environment(monkeypatch):
    """A target sets variables of its process, which is this one here."""
    for name in ("XDG_CACHE_HOME", "GDBFPU_CACHE"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


@pytest.mark.usefixtures("own_environment")
@pytest.mark.parametrize("name", files.TARGETS)
def test_seeds_are_read_and_hurt(name, tmp_path):
    """A seed gives a result or an error; what hurts it makes another input of it."""
    target = load(name)
    seeds = list(target.seeds(tmp_path))
    assert len(set(seeds)) > 5
    assert max(map(len, seeds)) <= target.largest
    for seed in seeds[::7]:
        assert judge.verdict(target, seed) == ("", "")
    dice = random.Random(1)
    hurt = {target.hurt(bytearray(seed), dice) for seed in seeds for _ in range(4)}
    assert len(hurt - set(seeds)) > len(seeds)
