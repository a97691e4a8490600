# SPDX-License-Identifier: GPL-2.0-or-later
"""What docs/kgdb.md says of a line follows from the packets and bytes that it names."""

from __future__ import annotations

import re

from doc_pages import DOCS

LINE = 115_200 / 10  # bytes a second: a byte is eight bits, a start and a stop bit
TIMER = 0.016  # seconds that a USB adapter holds a reply back
TEXT = (DOCS / "kgdb.md").read_text()


def test_hits_a_second_follow_from_packets_and_bytes() -> None:
    rows = re.findall(
        r"\| (\d+) \| (\d+) \| (\d+) ms \| ([\d.]+) \| ([\d.]+) \|$", TEXT, re.MULTILINE
    )
    assert len(rows) == 7
    for packets, size, time, alone, with_timer in rows:
        seconds = int(size) / LINE
        assert time == f"{1000 * seconds:.0f}"
        assert alone == f"{1 / seconds:.1f}"
        assert with_timer == f"{1 / (seconds + int(packets) * TIMER):.1f}"


def test_times_of_commands_follow_from_their_bytes() -> None:
    rows = re.findall(r"\| (\d+) \| ([\d.]+) s \|$", TEXT, re.MULTILINE)
    assert len(rows) == 4
    assert [time for size, time in rows if time != f"{int(size) / LINE:.1f}"] == []
