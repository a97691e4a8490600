# SPDX-License-Identifier: GPL-2.0-or-later
"""Hits that wait for a script: in order, each once, and never more than there is room for."""

from __future__ import annotations

from event_files import HIT

from gdbfpu.trace import kept as kept_module
from gdbfpu.trace.event_file import Hit
from gdbfpu.trace.kept import Kept


def hit(seq):
    return Hit(**{**HIT, "seq": seq})


def taken(kept):
    found = []
    while (one := kept.take()) is not None:
        found.append(one.seq)
    return found


def test_each_is_taken_once():
    kept = Kept()
    assert kept.take() is None
    for seq in (1, 2, 2, 3):  # after a ^C, a hit is kept again
        kept.keep(hit(seq))
    assert kept.take().seq == 1
    kept.keep(hit(4))
    assert taken(kept) == [2, 3, 4]
    assert (taken(kept), kept.lost) == ([], 0)


def test_the_oldest_give_way_and_are_counted(monkeypatch):
    monkeypatch.setattr(kept_module, "MAX_KEPT", 3)
    kept = Kept()
    for seq in range(1, 8):
        kept.keep(hit(seq))
        kept.keep(hit(seq))
    assert taken(kept) == [5, 6, 7]
    assert kept.lost == 4
    for seq in range(8, 12):
        kept.keep(hit(seq))
    assert taken(kept) == [9, 10, 11]
    assert kept.lost == 5
