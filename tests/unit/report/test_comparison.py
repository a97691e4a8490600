# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu compare`: what differs between two event files, counted by hand."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from event_files import HEADER, HIT, OTHER, SANITIZE, written

SHELL = {**OTHER, "pid": 50, "comm": "sh", "task": "0xffff888000005000", "uses_fpu": None,
         "why": "", "xfeatures": "0x1"}  # fmt: skip
AUDIT = {"of": 1, "pid": 30, "findings": [{"rule": "STALE"}], "undecided": [], "cleaned": {}}


def compare(tmp_path, before, after, *words, **headers):
    files = [
        written(tmp_path / "before", *before),
        written(tmp_path / "after", *after, header={**HEADER, **headers}),
    ]
    command = [sys.executable, "-m", "gdbfpu", "compare", *map(str, files), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_who_came_who_went_and_what_changed(tmp_path):
    """Xorg has another pid afterwards, and intonly is as before."""
    again = {**HIT, "pid": 90, "task": "0xffff888000009000", "xfeatures": "0x203"}
    before = (HIT, HIT, OTHER, SHELL)
    after = (again, AUDIT | {"pid": 90}, OTHER, {**HIT, "comm": "new", "pid": 91})
    status, text = compare(tmp_path, before, after, switching="eager", kernel="Linux 5")
    rows = [line.split() for line in text.splitlines()[2:5]]
    assert status == 0
    assert rows == [
        ["Xorg", "-1", "hits", "yes", "2", "->", "1", "x87|SSE|AVX", "->", "x87|SSE|PKRU",
         "-", "->", "STALE", "1"],
        ["sh", "went", "?", "1", "x87", "-"],
        ["new", "came", "yes", "1", "x87|SSE|AVX", "-"],
    ]  # fmt: skip
    assert text.splitlines()[-3:] == [
        "3 names changed, 1 did not; 4 hits before, 3 after",
        f"before: before, lazy switching, {HEADER['kernel']}",
        "after: after, eager switching, Linux 5",
    ]


def test_all_tasks_of_a_name_together(tmp_path):
    """One of them is known to use the FPU, so the name does."""
    two = ({**SHELL, "comm": "x"}, {**HIT, "comm": "x"})
    one = ({**SHELL, "comm": "x"}, {**SHELL, "comm": "x", "pid": 3, "function": SANITIZE})
    status, text = compare(tmp_path, two, one, "--format", "json")
    assert status == 0
    assert json.loads(text) == {
        "tasks": [
            {
                "comm": "x",
                "before": {"uses_fpu": True, "hits": 2, "components": ["x87", "SSE", "AVX"],
                           "findings": {}},
                "after": {"uses_fpu": None, "hits": 2, "components": ["x87"], "findings": {}},
            }
        ],
        "totals": {"before": {"hits": 2}, "after": {"hits": 2}},
        "defects": {"before": [], "after": []},
    }  # fmt: skip


def test_nothing_changed(tmp_path):
    status, text = compare(tmp_path, (HIT, OTHER), (OTHER, HIT))
    assert status == 0
    assert "0 names changed, 2 did not; 2 hits before, 2 after" in text.splitlines()


def test_a_choice_of_hits(tmp_path):
    status, text = compare(tmp_path, (HIT, OTHER), (OTHER,), "--comm", "int*")
    assert status == 0
    assert "0 names changed, 1 did not; 1 hit before, 1 after" in text.splitlines()


@pytest.mark.parametrize("form", ["table", "json"])
def test_lines_that_cannot_be_read(tmp_path, form):
    status, text = compare(tmp_path, (HIT,), (HIT, b"{}"), "--format", form)
    assert status == 1
    if form == "json":
        assert json.loads(text)["defects"] == {"before": [], "after": ["line 3: 'task' is missing"]}
    else:
        assert text.splitlines()[-1] == "incomplete: after: line 3: 'task' is missing"
