# SPDX-License-Identifier: GPL-2.0-or-later
"""Journals of fast traces that nobody has ended, as `gdbfpu doctor` tells of them."""

from __future__ import annotations

import os

from gdbfpu.doctor.finding import Verdict
from gdbfpu.doctor.journals import journals_answer
from gdbfpu.fast.journal import write_journal


def test_none(tmp_path):
    assert journals_answer(tmp_path / "nowhere").verdict is Verdict.FINE
    (tmp_path / "fast-x.loan").touch()
    assert journals_answer(tmp_path).verdict is Verdict.FINE


def test_each_that_is_left_is_counted_and_none_removed(tmp_path):
    paths = [write_journal(tmp_path, build_id, 0, 1, ()).path for build_id in ("ab", "cd", "ef")]
    os.utime(paths[1], (1e9, 1e9))  # 2001-09-09
    answer = journals_answer(tmp_path)
    assert answer.verdict is Verdict.LIMITED
    assert "3 fast traces not ended, the oldest of 2001-09-09" in answer.seen
    assert str(tmp_path) in answer.seen
    assert answer.mend[-1] == f"rm {tmp_path}/*.journal"
    assert all(path.exists() for path in paths)
