# SPDX-License-Identifier: GPL-2.0-or-later
"""Core files: the threads in them, and hostile ones."""

import io
import os
import random
import struct
import subprocess
import sys
import time

import pytest
from core_files import PRFPREG, PRXFPREG, core, layout, note, prstatus, xstate
from fpu_images import legacy, xsave

from gdbfpu.errors import CorruptState, GdbFpuError, UsageError
from gdbfpu.xsave.core import read_core


def image(byte):
    return bytes(xsave(7, xmm=[bytes([byte]) * 16])).ljust(832, b"\0")


def threads(data, lwp=None):
    return [(t.lwp, t.note, t.format, t.image) for t in read_core(b"", io.BytesIO(data), lwp)[0]]


def of_pipe(data, head):
    """Read `data` through a pipe, after its first `head` bytes."""
    command = [sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(data)
        process.stdin.close()
        return read_core(process.stdout.read(head), process.stdout)[0]


TWO = core(
    prstatus(41), note(b"CORE", PRFPREG, bytes(legacy())), note(b"CORE", 3, bytes(136)),
    xstate(image(1)), prstatus(42), xstate(image(2)),
    gap=5000,
)  # fmt: skip


def test_a_note_for_each_thread():
    assert threads(TWO) == [
        (41, "NT_X86_XSTATE", "standard", image(1)),
        (42, "NT_X86_XSTATE", "standard", image(2)),
    ]
    assert threads(TWO, 42) == [(42, "NT_X86_XSTATE", "standard", image(2))]


@pytest.mark.parametrize("head", [0, 8, 100])
def test_a_pipe_is_read_once(head):
    assert [t.lwp for t in of_pipe(TWO, head)] == [41, 42]


def test_a_thread_that_is_not_there():
    with pytest.raises(UsageError, match=r"has no thread 43; it has 41, 42$"):
        read_core(b"", io.BytesIO(TWO), 43)


def test_notes_without_a_thread():
    data = core(xstate(image(1)), xstate(image(2)))
    assert [(lwp, found) for lwp, *_, found in threads(data)] == [
        (None, image(1)),
        (None, image(2)),
    ]


def test_a_cpu_without_xsave():
    """Older notes serve: FXSAVE of a 64-bit program; of a 32-bit one FXSAVE too, else FSAVE."""
    fxsave, fsave = bytes(legacy(fcw=0x27F)), bytes(108)
    data = core(prstatus(7), note(b"CORE", PRFPREG, fxsave))
    assert threads(data) == [(7, "NT_PRFPREG", "fxsave", fxsave)]
    old = prstatus(7, 32) + note(b"CORE", PRFPREG, fsave)
    assert threads(core(old, bits=32, machine=3)) == [(7, "NT_PRFPREG", "fsave", fsave)]
    new = old + note(b"LINUX", PRXFPREG, fxsave)
    assert threads(core(new, bits=32, machine=3)) == [(7, "NT_PRXFPREG", "fxsave", fxsave)]


def test_a_32_bit_core():
    data = core(prstatus(7, 32), xstate(image(1)), bits=32, machine=3)
    assert threads(data) == [(7, "NT_X86_XSTATE", "standard", image(1))]


def test_places_of_the_cpu():
    rows = ((2, 256, 576), (5, 64, 832), (6, 512, 896))
    data = core(prstatus(7), xstate(image(1)), layout(*rows))
    _, tables = read_core(b"", io.BytesIO(data))
    assert tables.source == "NT_X86_XSAVE_LAYOUT"
    found = [(n, tables.sizes[n], tables.offsets[n]) for n in range(2, 63) if tables.sizes[n]]
    assert tuple(found) == rows
    assert read_core(b"", io.BytesIO(TWO))[1] is None


@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (core(prstatus(1), kind=2), UsageError, "an ELF program, neither a core file nor"),
        (core(prstatus(1), kind=1), UsageError, "an ELF object file"),
        (core(prstatus(1), kind=0xFE00), UsageError, "an ELF file of type 65024"),
        (core(prstatus(1), machine=183), UsageError, "of machine 183"),
        (b"\x7fELF\x02\x02".ljust(100, b"\0"), UsageError, "not of an x86 machine"),
        (b"\x7fELF\x09\x01".ljust(100, b"\0"), UsageError, "not of an x86 machine"),
        (core(prstatus(1)), UsageError, "neither NT_X86_XSTATE nor NT_PRFPREG"),
        (core(note(b"VMCOREINFO", 0, b"OSRELEASE=1")), UsageError, "ask `gdbfpu report`"),
        (TWO[:40], CorruptState, "ends inside its notes"),
        (TWO[:-1], CorruptState, "ends inside its notes"),
        (TWO[:5200], CorruptState, "ends inside its notes"),
        (core(prstatus(1), sizes=(1 << 62, 1 << 62)), CorruptState, "ends inside its notes"),
        (core(prstatus(1), sizes=(8, 100)), CorruptState, "overlap what comes before"),
        (core(struct.pack("<III", 5, 1 << 31, 0x202)), CorruptState, "larger than its segment"),
        (core(struct.pack("<III", 1 << 31, 5, 0x202)), CorruptState, "larger than its segment"),
    ],
)  # fmt: skip
def test_what_is_no_core_or_damaged(data, error, text):
    for stream in (io.BytesIO(data), io.BufferedReader(Unseekable(data))):
        with pytest.raises(error, match=text):
            read_core(b"", stream)


class Unseekable(io.RawIOBase):
    def __init__(self, data):
        self.data = io.BytesIO(data)

    def readable(self):
        return True

    def seekable(self):
        return False

    def readinto(self, buffer):
        return self.data.readinto(buffer)


def test_a_huge_hole_is_not_read(tmp_path):
    """A segment of a terabyte, most of it a hole."""
    path = tmp_path / "core"
    data = core(prstatus(7), xstate(image(1)), sizes=(120, 1 << 40))
    path.write_bytes(data)
    os.truncate(path, 1 << 40)
    started = time.monotonic()
    with path.open("rb") as stream:
        assert [t.lwp for t in read_core(b"", stream)[0]] == [7]
    assert time.monotonic() - started < 2


def test_a_note_of_a_gigabyte_is_skipped(tmp_path):
    path = tmp_path / "core"
    big = struct.pack("<III", 6, 1 << 30, 0x202) + b"LINUX\0\0\0"
    path.write_bytes(core(prstatus(7), xstate(image(1)), big, sizes=(120, 1 << 31)))
    os.truncate(path, 1 << 31)
    with path.open("rb") as stream:
        assert [t.image for t in read_core(b"", stream)[0]] == [image(1)]


def test_mutated_cores_end_in_an_answer_or_one_of_our_errors():
    chosen = random.Random(13)
    for _ in range(3000):
        data = bytearray(core(prstatus(41), xstate(image(1)), layout((2, 256, 576))))
        for _ in range(chosen.randrange(1, 6)):
            data[chosen.randrange(min(len(data), 600))] = chosen.randrange(256)
        try:
            read_core(b"", io.BytesIO(bytes(data)), chosen.choice([None, 41]))
        except GdbFpuError as error:
            assert "\n" not in str(error)


def test_as_many_notes_as_are_believed(monkeypatch):
    """The six notes of TWO; one more is too many."""
    monkeypatch.setattr("gdbfpu.xsave.core._MOST_NOTES", 7)
    assert len(threads(TWO)) == 2
    monkeypatch.setattr("gdbfpu.xsave.core._MOST_NOTES", 6)
    with pytest.raises(CorruptState, match=r"^the core file has more than 6 notes$"):
        threads(TWO)
