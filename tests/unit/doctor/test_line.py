# SPDX-License-Identifier: GPL-2.0-or-later
"""The arithmetic of a serial line, against sums made by hand."""

from __future__ import annotations

import pytest

from gdbfpu.doctor.finding import Verdict
from gdbfpu.doctor.line import COSTS, Cost, Line, arithmetic, latency_timer


def test_time_of_the_bytes():
    """At 115200 bit/s, 10 bits a byte, 1,152 bytes take 0.1 s."""
    assert Cost("", 9, 1152).rate(Line(115200)) == pytest.approx(10)
    assert Cost("", 9, 1152).rate(Line(9600)) == pytest.approx(10 / 12)


def test_time_of_the_adapter():
    """16 ms for each of 10 replies are 0.16 s more."""
    assert Cost("", 10, 1152).rate(Line(115200, 16)) == pytest.approx(1 / 0.26)


def test_a_plain_line():
    answer = arithmetic(Line(115200))
    assert answer.verdict is Verdict.FINE
    assert answer.seen.startswith("115200 bit/s carry 11,520 bytes/s")
    assert f"({COSTS[0].size:,} bytes, {COSTS[0].packets} packets a hit)" in answer.seen


def test_an_adapter(tmp_path):
    """The timer of ftdi_sio is trouble, a short one is not."""
    (tmp_path / "ttyUSB3").mkdir()
    timer = tmp_path / "ttyUSB3/latency_timer"
    timer.write_text("16\n")
    slow = arithmetic(Line(115200, latency_timer("ttyUSB3", tmp_path)), "ttyUSB3")
    assert slow.verdict is Verdict.TROUBLE
    assert "ttyUSB3 keeps each reply back for up to 16 ms" in slow.seen
    assert slow.mend == ("echo 1 | sudo tee /sys/bus/usb-serial/devices/ttyUSB3/latency_timer",)
    timer.write_text("1\n")
    quick = arithmetic(Line(115200, latency_timer("ttyUSB3", tmp_path)), "ttyUSB3")
    assert quick.verdict is Verdict.FINE
    assert quick.seen.endswith("the latency timer of ttyUSB3 is 1 ms")


@pytest.mark.parametrize("text", [None, "", "soon\n"])
def test_no_timer(tmp_path, text):
    (tmp_path / "ttyUSB0").mkdir()
    if text is not None:
        (tmp_path / "ttyUSB0/latency_timer").write_text(text)
    assert latency_timer("ttyUSB0", tmp_path) is None
    assert latency_timer("ttyS0", tmp_path) is None
