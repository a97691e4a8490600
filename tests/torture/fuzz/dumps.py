# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps of a kernel: their headers, their bitmaps and tables, and the memory in them.

The first byte of an input says what is asked about the dump in the others.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import drgn

from tests.torture.fuzz import dump_files as files
from tests.torture.fuzz.command import check_json, check_text, said
from tests.torture.fuzz.dump_files import BLOCK, DESCRIPTION
from tests.torture.fuzz.hurting import number, some_bytes
from tests.torture.fuzz.target import Target

__all__ = ("TARGET",)

_FOLDER = Path(tempfile.gettempdir()) / f"dumps-{os.getpid()}"
_KERNEL, _PAGES = 0xFFFFFFFF81000000, 16  # where the kernel is, and more pages than it has
_ASKED = (
    ("report",),
    ("report", "--format", "json"),
    ("state", "30", "--format", "json", "--component", "AVX"),
    ("state", "31", "--component", "x87"),
    ("info",),
    ("info", "--format", "json"),
    ("audit", "--all"),
    ("audit", "--all", "--format", "json"),
)
_STATUSES = (0, 1, 3)
_INFO = (
    *(b"NUMBER(phys_base)=%d", b"SYMBOL(swapper_pg_dir)=%x", b"PAGESIZE=%d", b"KERNELOFFSET=%x"),
)
_FLATTENED = b"makedumpfile\0"
_HEAD_FIELDS = ((8, 4), (424, 4), (428, 4), (432, 4), (436, 4), (440, 4), (456, 4), (460, 4))
_SUB_FIELDS = ((0, 8), (8, 4), (12, 4), *((at, 8) for at in range(16, 104, 8)))
_PROGRAM_FIELDS = ((0, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8))
_LISTS = (0, 1 << 12, 1 << 63, 0xFFFF888001000000, 0xDEAD000000000100, (1 << 64) - 1)


def _seeds(folder: Path) -> Iterator[bytes]:
    vmlinux = files.build(folder).read_bytes()
    memory, info = files.pages(vmlinux), files.vmcoreinfo(vmlinux)
    last = max(memory)
    made = [files.kdump(memory, info, how) for how in ("zlib", "zstd", "plain")]
    made.append(files.kdump(memory, info, "zlib", without=(last,)))
    made += [files.flattened(made[0]), files.elf(memory, info), files.elf(memory, info, (last,))]
    for how in range(len(_ASKED)):
        for dump in made:
            yield bytes((how,)) + dump


@cache
def _vmlinux() -> Path:
    """Return the kernel that all dumps are of; its layouts are kept between two inputs.

    Each dump is read in a process that is forked off. drgn loads its plugins here, once for all.
    """
    _FOLDER.mkdir()
    os.environ.update({"XDG_CACHE_HOME": str(_FOLDER), "GDBFPU_CACHE": "on"})
    vmlinux = files.build(_FOLDER)
    program = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    program.set_linux_kernel_custom(files.vmcoreinfo(vmlinux.read_bytes()), False)
    return vmlinux


def _read(data: bytes) -> None:
    vmlinux, core = _vmlinux(), _FOLDER / "core"
    asked = _ASKED[(data[0] if data else 0) % len(_ASKED)]
    core.unlink(missing_ok=True)
    core.write_bytes(data[1:])
    text = said([*asked, "--core", str(core), "--vmlinux", str(vmlinux)], _STATUSES)
    if text:
        (check_json if "json" in asked else check_text)(text)


def _hurt(data: bytearray, random: Random) -> bytes:
    how = bytes((random.randrange(len(_ASKED)),))
    dump = data[1:]
    flat = dump.startswith(_FLATTENED)
    if flat and random.random() < 0.3:
        some_bytes(dump, 0, len(dump), random)
        return how + bytes(dump)
    dump = bytearray(files.unflattened(bytes(dump))) if flat else dump
    for _ in range(random.choice((1, 1, 2, 4))):
        if dump.startswith(b"\x7fELF"):
            _hurt_elf(dump, random)
        else:
            _hurt_kdump(dump, random)
    return how + (files.flattened(bytes(dump)) if flat else bytes(dump))


def _hurt_elf(dump: bytearray, random: Random) -> None:
    kind, notes = random.random(), 64 + 3 * 56
    if kind < 0.1:
        some_bytes(dump, 0, 64, random)
    elif kind < 0.4:
        at, size = random.choice(_PROGRAM_FIELDS)
        number(dump, 64 + 56 * random.randrange(3) + at, size, random)
    elif kind < 0.55:
        _hurt_text(dump, notes, notes + 400, random)
    elif kind < 0.6:
        del dump[random.randrange(len(dump) + 1) :]
    else:
        _hurt_memory(dump, notes + 400, random)


def _hurt_kdump(dump: bytearray, random: Random) -> None:
    kind = random.random()
    if kind < 0.1:
        number(dump, *random.choice(_HEAD_FIELDS), random)
    elif kind < 0.2:
        at, size = random.choice(_SUB_FIELDS)
        number(dump, BLOCK + at, size, random)
    elif kind < 0.3:
        _hurt_text(dump, BLOCK + 512, BLOCK + 1500, random)
    elif kind < 0.35:
        place = random.choice((2, 3)) * BLOCK + _KERNEL % (1 << 31) // BLOCK // 8
        some_bytes(dump, place, place + 4, random)
    elif kind < 0.5:
        at, size = random.choice(((0, 8), (8, 4), (12, 4)))
        number(dump, 4 * BLOCK + DESCRIPTION.size * random.randrange(_PAGES) + at, size, random)
    elif kind < 0.55:
        del dump[random.randrange(len(dump) + 1) :]
    else:
        _hurt_page(dump, random)


def _hurt_text(dump: bytearray, start: int, end: int, random: Random) -> None:
    """Change a letter, or a whole line, of VMCOREINFO."""
    lines = dump[start:end].split(b"\n")
    if random.random() < 0.5 and len(lines) > 2:
        value = random.choice((0, -1, 1 << 63, 1 << 64, 10**30, random.choice(_LISTS)))
        lines[random.randrange(len(lines))] = random.choice(_INFO) % value
        dump[start:end] = b"\n".join(lines).ljust(end - start, b"\0")[: end - start]
        return
    some_bytes(dump, start, end, random)


def _hurt_page(dump: bytearray, random: Random) -> None:
    """Change the memory in a page, which goes to the end of the file."""
    place = 4 * BLOCK + DESCRIPTION.size * random.randrange(_PAGES)
    if place + DESCRIPTION.size > len(dump):
        return
    offset, size, flags, page_flags = DESCRIPTION.unpack_from(dump, place)
    body = bytes(dump[offset : offset + size])
    try:
        page = bytearray(zlib.decompress(body) if flags & 1 else body)
    except zlib.error:
        return
    _hurt_memory(page, 0, random)
    body = zlib.compress(bytes(page)) if flags & 1 else bytes(page)
    DESCRIPTION.pack_into(dump, place, len(dump), len(body), flags, page_flags)
    dump += body


def _hurt_memory(memory: bytearray, start: int, random: Random) -> None:
    """Change a word of the kernel's: a pointer leads elsewhere, a count is another."""
    words = range(start & -8, len(memory) - 8, 8)
    used = [at for at in words if any(memory[at : at + 8])]
    for _ in range(random.choice((1, 1, 3))) if used else ():
        at = random.choice(used)
        if random.random() < 0.5:
            elsewhere = _KERNEL + 8 * random.randrange(_PAGES * BLOCK // 8)
            word = random.choice((elsewhere, random.choice(_LISTS)))
            struct.pack_into("<Q", memory, at, word)
        else:
            number(memory, at + random.choice((0, 4)), random.choice((1, 4, 4)), random)


TARGET = Target("dumps of kernels: kdump, flattened, ELF", 5_000, _seeds, _read, _hurt, 96 << 10)
