# SPDX-License-Identifier: GPL-2.0-or-later
"""The FPU images in a core file: one note for each thread, and one on the layout of its CPU.

The file is read once from its beginning, so it may be a pipe. Nothing in the file is trusted: each
size is checked before anything is read. Source: System V ABI, ELF (program headers, notes);
the kernel's fs/binfmt_elf.c, include/uapi/linux/elf.h and arch/x86/kernel/fpu/xstate.c.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from gdbfpu.errors import CorruptState, UsageError
from gdbfpu.xsave.legacy import FSAVE_SIZE
from gdbfpu.xsave.places import Tables

__all__ = ("ELF_MAGIC", "Thread", "read_core")

ELF_MAGIC = b"\x7fELF"
"""The first bytes of an ELF file."""

_HEADERS = {1: struct.Struct("<16sHHIIIIIHHHHHH"), 2: struct.Struct("<16sHHIQQQIHHHHHH")}
_PROGRAM = {1: struct.Struct("<IIIIIIII"), 2: struct.Struct("<IIQQQQQQ")}  # Elf{32,64}_Phdr
_NOTE = struct.Struct("<III")  # Elf64_Nhdr
_COMPONENT = struct.Struct("<IIII")  # struct x86_xfeat_component
_32_BIT, _64_BIT, _LITTLE = 1, 2, 1  # e_ident[EI_CLASS], e_ident[EI_DATA]
_TYPES = {1: "object file", 2: "program", 3: "program or library"}  # e_type
_CORE, _PT_NOTE = 4, 4  # e_type, p_type
_MACHINES = (3, 62)  # EM_386, EM_X86_64
_PRSTATUS, _PRFPREG, _PRXFPREG = 1, 2, 0x46E62B7F
_XSTATE, _XSAVE_LAYOUT = 0x202, 0x205
_WANTED = {
    *((b"CORE", kind) for kind in (_PRSTATUS, _PRFPREG)),
    *((b"LINUX", kind) for kind in (_PRXFPREG, _XSTATE, _XSAVE_LAYOUT)),
}
_IMAGES = {  # the best first
    _XSTATE: ("NT_X86_XSTATE", "standard"),
    _PRXFPREG: ("NT_PRXFPREG", "fxsave"),
    _PRFPREG: ("NT_PRFPREG", "fxsave"),  # an FSAVE image if the program is 32-bit
}
_PID_OFFSETS = {_32_BIT: 24, _64_BIT: 32}  # of pr_pid in struct elf_prstatus
_MOST_NOTES = 1 << 19
_MOST_BYTES = 256 << 20  # of all images together
_LARGEST = 64 << 10  # bytes of a note that is wanted
_LONGEST_NAME = 64
_SHOWN = 8  # threads that an error names
_FARTHEST = 1 << 60  # a place past the end of any file
_PIECE = 1 << 20  # bytes that are skipped at once
_CUT = "the core file ends inside its notes"


@dataclass(frozen=True)
class Thread:
    """A thread of a core file: its `lwp`, None if no note gives it, and its FPU `image`.

    `note` names the note that the image is from, and `format` is how to decode it.
    """

    lwp: int | None
    image: bytes
    note: str
    format: str


class _Reader:
    """A stream that is read forward only, of which `head` has been read already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = head, stream
        self.at = 0

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; raise CorruptState if the file ends earlier."""
        data, self._head = self._head[:size], self._head[size:]
        if len(data) < size:
            data += self._stream.read(size - len(data))
        self.at += len(data)
        if len(data) != size:
            raise CorruptState(_CUT)
        return data

    def skip_to(self, place: int) -> None:
        """Go forward to byte `place`; raise CorruptState if that is behind, or past the end."""
        if place < self.at:
            raise CorruptState("the core file's notes overlap what comes before them")
        self.read(min(len(self._head), place - self.at))
        if place > self.at and self._stream.seekable():
            self._stream.seek(min(place - self.at, _FARTHEST), os.SEEK_CUR)
            self.at = place
        while self.at < place:
            self.read(min(_PIECE, place - self.at))


def read_core(
    head: bytes, stream: BinaryIO, lwp: int | None = None
) -> tuple[tuple[Thread, ...], Tables | None]:
    """Return the threads of a core file that have an FPU image, and the CPU's layout.

    `head` is what the caller has read from `stream` to see that it is an ELF file. With `lwp`, only
    that thread is returned. The layout (the offset and size of each component) comes from the note
    NT_X86_XSAVE_LAYOUT, which kernels since 6.12 write; it is None if a file has no such note.
    Raises UsageError if the file is not a core file of an x86 program or has no such thread,
    CorruptState if the file is damaged.
    """
    reader = _Reader(head, stream)
    pid_offset, segments = _segments(reader)
    layout: list[bytes] = []
    threads: list[Thread] = []
    lwps: list[int | None] = []
    kept = 0
    for group in _groups(_notes(reader, segments), layout):
        thread = _thread(group, pid_offset)
        if thread is not None:
            lwps.append(thread.lwp)
        if thread is not None and lwp in (None, thread.lwp):
            threads.append(thread)
            kept += len(thread.image)
        if kept > _MOST_BYTES:
            raise UsageError(f"it has more than {_MOST_BYTES} bytes of FPU state: say --thread LWP")
    if not threads:
        raise UsageError(_missing(lwp, lwps))
    return tuple(threads), _tables(layout[0]) if any(layout) else None


def _segments(reader: _Reader) -> tuple[int, list[tuple[int, int]]]:
    """Return the offset of pr_pid in NT_PRSTATUS, and offset and size of each PT_NOTE."""
    ident = reader.read(16)
    bits = ident[4]
    if ident[:4] != ELF_MAGIC or bits not in _HEADERS or ident[5] != _LITTLE:
        raise UsageError("it is an ELF file, but not of an x86 machine")
    header = _HEADERS[bits].unpack(ident + reader.read(_HEADERS[bits].size - 16))
    kind, machine, table, each, count = (header[place] for place in (1, 2, 5, 9, 10))
    if machine not in _MACHINES:
        raise UsageError(f"it is an ELF file of machine {machine}, not of an x86 machine")
    if kind != _CORE:
        what = _TYPES.get(kind, f"file of type {kind}")
        raise UsageError(f"it is an ELF {what}, neither a core file nor an image of FPU state")
    if each != _PROGRAM[bits].size:
        raise CorruptState(f"the core file's program headers have {each} bytes")
    reader.skip_to(table)
    rows = [_PROGRAM[bits].unpack(reader.read(each)) for _ in range(count)]
    place = 2 if bits == _64_BIT else 1
    size = 5 if bits == _64_BIT else 4
    return _PID_OFFSETS[bits], sorted((r[place], r[size]) for r in rows if r[0] == _PT_NOTE)


def _notes(reader: _Reader, segments: Iterable[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """Yield type and contents of the notes that are wanted; raise CorruptState."""
    number = 0
    for start, size in segments:
        reader.skip_to(start)
        end = start + size
        while reader.at + _NOTE.size <= end and number < _MOST_NOTES:
            number += 1
            name_size, data_size, kind = _NOTE.unpack(reader.read(_NOTE.size))
            if not (name_size or data_size or kind):  # the rest is padding
                break
            if name_size + data_size > end - reader.at:
                raise CorruptState("a note of the core file is larger than its segment")
            data_at = reader.at + _padded(name_size)
            name = reader.read(min(name_size, _LONGEST_NAME)).rstrip(b"\0")
            reader.skip_to(min(data_at, end))
            after = reader.at + _padded(data_size)
            if (name, kind) in _WANTED and data_size <= _LARGEST:
                yield kind, reader.read(data_size)
            reader.skip_to(min(after, end))
    if number == _MOST_NOTES:
        raise CorruptState(f"the core file has more than {_MOST_NOTES} notes")


def _padded(size: int) -> int:
    return (size + 3) & ~3


def _groups(notes: Iterable[tuple[int, bytes]], layout: list[bytes]) -> Iterator[dict[int, bytes]]:
    """Yield the notes of each thread by type: a thread's notes follow its NT_PRSTATUS.

    NT_X86_XSAVE_LAYOUT, which belongs to all threads, goes into `layout`.
    """
    group: dict[int, bytes] = {}
    for kind, data in notes:
        if kind == _XSAVE_LAYOUT:
            layout[:] = [data]
            continue
        if kind == _PRSTATUS or kind in group:
            yield group
            group = {}
        group[kind] = data
    yield group


def _thread(group: Mapping[int, bytes], pid_offset: int) -> Thread | None:
    """Return the thread whose notes are `group`, None for one without FPU state."""
    status = group.get(_PRSTATUS, b"")[pid_offset : pid_offset + 4]
    lwp = int.from_bytes(status, "little") if len(status) == 4 else None
    for kind, (name, format) in _IMAGES.items():
        if kind in group:
            image = group[kind]
            return Thread(lwp, image, name, "fsave" if len(image) == FSAVE_SIZE else format)
    return None


def _tables(data: bytes) -> Tables:
    """Return what NT_X86_XSAVE_LAYOUT says: an array of struct x86_xfeat_component."""
    whole = data[: len(data) // _COMPONENT.size * _COMPONENT.size]
    rows = {number: (size, offset) for number, size, offset, _ in _COMPONENT.iter_unpack(whole)}
    return Tables(
        "NT_X86_XSAVE_LAYOUT",
        offsets={number: rows.get(number, (0, 0))[1] for number in range(2, 63)},
        sizes={number: rows.get(number, (0, 0))[0] for number in range(2, 63)},
    )


def _missing(lwp: int | None, lwps: Sequence[int | None]) -> str:
    if not lwps:
        return (
            "the core file has neither NT_X86_XSTATE nor NT_PRFPREG notes; "
            "ask `gdbfpu report` about a kernel's dump"
        )
    known = [str(number) for number in lwps if number is not None]
    more = ", ..." if len(known) > _SHOWN else ""
    has = f"it has {', '.join(known[:_SHOWN])}{more}" if known else "its threads have no numbers"
    return f"the core file has no thread {lwp}; {has}"
