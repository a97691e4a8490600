# SPDX-License-Identifier: GPL-2.0-or-later
"""What the readers of event files return, value by value, and what they refuse, word by word."""

from __future__ import annotations

import errno
import io

import pytest
from event_files import HEADER, HIT
from fpu_images import xsave

from gdbfpu.errors import CorruptState, UsageError
from gdbfpu.fpu.evidence import Answer, Use
from gdbfpu.report.event_hits import HitReader, use_of
from gdbfpu.report.event_images import ImageReader, live_registers, spans_of
from gdbfpu.report.event_lines import EventLines, Header
from gdbfpu.xsave.area import Span
from gdbfpu.xsave.decode import decode
from gdbfpu.xsave.image import ComponentState

IMAGE = bytes(xsave(7)) + bytes(256)


def header(form):
    return Header("Linux", "lazy", form, "")


@pytest.mark.parametrize(
    ("said", "use"),
    [
        ({}, None),
        ({"uses_fpu": None, "why": ""}, None),
        ({"uses_fpu": None, "why": "waiting"}, Use(Answer.UNKNOWN, "waiting")),
        ({"uses_fpu": True}, Use(Answer.YES, "")),
        ({"uses_fpu": False, "why": "a kernel thread"}, Use(Answer.NO, "a kernel thread")),
    ],
)
def test_what_a_line_says_of_use(said, use):
    assert use_of(said) == use


def test_a_path_is_kept_once():
    """The next hit on the same path gets the same object; a path that was cut is not kept."""
    reader = HitReader()
    task, path, _ = reader.read(HIT)
    assert reader.read(HIT)[1] is path
    assert path == ("copy_fpstate_to_sigframe", "get_sigframe")
    assert not task.kthread
    long = {**HIT, "backtrace": ["x" * 200]}
    assert reader.read(long)[1] == ("copy_fpstate_to_sigframe", "x" * 128)
    assert reader.read(long)[1] is not reader.read(long)[1]


@pytest.mark.parametrize("form", ["", "standard", "unknown"])
def test_an_image_without_a_known_format_is_looked_at(form):
    assert ImageReader(header(form)).read(IMAGE.hex()) == (
        IMAGE,
        decode(IMAGE, format="standard" if form == "standard" else "auto"),
    )


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda: ImageReader(header("")).read("zz"), "`raw` is not an image: "),
        (lambda: ImageReader(header("")).read("00"), "`raw` is not an image: cannot tell "),
        (lambda: live_registers({"registers": []}), "`registers` is not an object of registers"),
        (lambda: live_registers({"registers": {"st0": "z"}}), "`registers` has no bytes: "),
        (lambda: live_registers({"registers": {"st0": 1}}), "`registers` is not a string"),
    ],
)
def test_what_is_refused_is_named(read, words):
    with pytest.raises(CorruptState) as error:
        read()
    assert str(error.value).startswith(words)


def test_as_many_registers_as_there_are():
    registers = {f"x{number}": "00" for number in range(128)}
    assert len(live_registers({"registers": registers})) == 128
    with pytest.raises(CorruptState):
        live_registers({"registers": {**registers, "y": "00"}})
    assert live_registers({}) == {}


def component(number, offset, size):
    return ComponentState(number, "x", offset, size, b"", True, False)


def test_places_that_are_known():
    image = decode(IMAGE, format="standard")
    object.__setattr__(
        image,
        "components",
        (
            component(1, 0, 4),
            component(2, None, 8),
            component(3, 8, None),
            component(4, None, None),
        ),
    )
    assert spans_of(image) == (Span(1, 0, 4),)


class Broken(io.BytesIO):
    """Reads so many lines, then the disk fails."""

    left = 0

    def readline(self, most=-1):
        if not self.left:
            raise OSError(errno.EIO, "Input/output error")
        self.left -= 1
        return b'{"schema": 1}\n'


@pytest.mark.parametrize("lines", [0, 1])
def test_a_stream_that_fails_is_named(lines):
    stream = Broken()
    stream.left = lines
    with pytest.raises(UsageError) as error:
        EventLines(stream, "a\nfile", lambda _: None).each(lambda _: None)
    assert str(error.value) == "cannot read a\\nfile: Input/output error"


def test_the_header_says_what_it_says():
    assert HEADER["schema"] == 1
    line = b'{"schema": 1, "switching": "lazy", "kernel": "L\\u001b", "started": 5}\n'
    assert EventLines(io.BytesIO(line), "x", print).header == Header("L\\x1b", "lazy", "", "")
