# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps of one stop in the forms that people get them in, made of QEMU's ELF dump.

makedumpfile reads no ELF dump of QEMU: it expects the program headers right behind the ELF header.
So `vmcore` lays the dump out as /proc/vmcore of a kdump kernel is (the kernel's
kernel/crash_core.c and fs/proc/vmcore.c): VMCOREINFO among the notes, a program header for the
kernel's text, one for each range of memory with its address in the direct map.
"""

from __future__ import annotations

import re
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

from qemu import makedumpfile
from qemu.console import PROMPT
from qemu.guest import image
from qemu.kernels import Kernel
from qemu.session import gdb_command
from qemu.vm import Machine
from tests.vm.oracle import symbols_of

ROOT = Path(__file__).parents[2]
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
PROGRAM = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
TEXT = 0xFFFFFFFF80000000  # __START_KERNEL_map
PAGE = 4096
DEVICES = 0xF0000000  # QEMU dumps the memory of its graphics card, too, which is above

# The kernel's own VMCOREINFO (kernel/crash_core.c), for a kernel that has one.
INFO = "*(char**)&vmcoreinfo_data"
TAKE_INFO = f"dump binary memory {{}}/vmcoreinfo {INFO} ({INFO})+*(long*)&vmcoreinfo_size"
TAKE_BASE = "dump binary value {}/base (unsigned long)high_memory - max_pfn * 4096ul"

FORMS = {
    "zlib": ["-c"],
    "lzo": ["-l"],
    "zstd": ["-z"],
    "flattened": ["-c", "-F"],
    "elf": ["-E"],
}
"""What makedumpfile writes, filtered, and by which options."""


def run(argv: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, **options
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


@dataclass(frozen=True)
class Stop:
    """A folder with QEMU's dumps of one stop, and the kernel that stopped.

    `qemu` is the ELF dump, `paging` the one with page tables, `kdump` the compressed one;
    `vmcoreinfo` is what the kernel says of itself, `vmcore` what a kdump kernel would see.
    """

    folder: Path
    kernel: Kernel

    def file(self, name: str) -> Path:
        """Return a dump of this stop, made when it is first asked for."""
        path = self.folder / name
        if path.exists():
            return path
        if name == "vmcore":
            notes = (self.folder / "vmcoreinfo").read_bytes().rstrip(b"\0")
            if b"swapper_pg_dir" not in notes:  # the kernel itself says that, and makedumpfile -g:
                top = re.search(rb"SYMBOL\((init_top_pgt|init_level4_pgt)\)=(\w+)", notes)[2]
                notes += b"SYMBOL(swapper_pg_dir)=%s\n" % top
            symbols = symbols_of(self.kernel.vmlinux)
            lay_out(self.file("qemu"), path, notes, self.base(), symbols)
        elif name == "snappy":
            recompress(self.file("zlib"), path)
        else:
            self._filter(path)
        return path

    def base(self) -> int:
        """Return where the kernel maps physical address 0."""
        return int.from_bytes((self.folder / "base").read_bytes(), "little")

    def without(self, name: str, address: int) -> Path:
        """Return a copy of the dump `name` ("elf", "zlib") without the page at `address`."""
        path, page = self.folder / f"{name}-cut", address & -PAGE
        data = bytearray(self.file(name).read_bytes())
        if name == "elf":
            cut_elf(data, page)
        else:
            cut_kdump(data, page - self.base())
        path.write_bytes(data)
        return path

    def _filter(self, path: Path) -> None:
        argv = [*makedumpfile.command(), "-d", "31", *FORMS[path.name], str(self.file("vmcore"))]
        if "-F" in argv:
            with path.open("wb") as out:
                subprocess.run(argv, check=True, timeout=120, stdout=out, stderr=subprocess.PIPE)
        else:
            done = run([*argv, str(path)])
            assert done.returncode == 0, done.stdout + done.stderr


def stop(kernel: Kernel, cpu: str, folder: Path, running: str, commands: list[str]) -> Stop:
    """Boot, run `running` in the guest, stop, have GDB execute `commands`, and dump all."""
    own = "vmcoreinfo_data" in symbols_of(kernel.vmlinux)
    if not own:  # a kernel without kdump: what its vmlinux tells makedumpfile
        argv = [*makedumpfile.command(), "-g", str(folder / "vmcoreinfo")]
        assert run([*argv, "-x", str(kernel.vmlinux)]).returncode == 0
    commands = [*commands, TAKE_BASE.format(folder), *([TAKE_INFO.format(folder)] if own else [])]
    for name, option in (("qemu", ""), ("paging", "-p "), ("kdump", "-z ")):
        commands.append(f"monitor dump-guest-memory {option}{folder}/{name}")
    with Machine(kernel.bzimage, image.test_image(), memory="256M", cpu=cpu) as machine:
        machine.boot(PROMPT, 120.0)
        machine.run(running, 20.0)
        run(gdb_command(kernel.vmlinux, machine.gdbstub, commands, batch=True), cwd=ROOT)
    return Stop(folder, kernel)


def lay_out(source: Path, target: Path, info: bytes, base: int, symbols: dict[str, int]) -> None:
    """Write the ELF dump `source` of QEMU to `target` as /proc/vmcore would show it."""
    with source.open("rb") as dump, target.open("wb") as out:
        head = HEADER.unpack(dump.read(HEADER.size))
        dump.seek(head[5])
        rows = [PROGRAM.unpack(dump.read(PROGRAM.size)) for _ in range(head[10])]
        notes = b""
        for row in (row for row in rows if row[0] == 4):
            dump.seek(row[2])
            notes += dump.read(row[5])
        notes += note(b"VMCOREINFO\0", info)
        loads = [row for row in rows if row[0] == 1 and row[4] < DEVICES]
        count = 2 + len(loads)
        first = HEADER.size + PROGRAM.size * count
        places, at = [], (first + len(notes)) // PAGE * PAGE + PAGE
        for row in loads:
            places.append(at)
            at += row[5]
        start, size = symbols["_text"], symbols["_end"] - symbols["_text"]
        kernel = start - TEXT
        held = next(i for i, row in enumerate(loads) if row[4] <= kernel < row[4] + row[5])
        out.write(HEADER.pack(*head[:5], HEADER.size, 0, *head[7:9], PROGRAM.size, count, 0, 0, 0))
        out.write(PROGRAM.pack(4, 0, first, 0, 0, len(notes), len(notes), 0))
        offset = places[held] + kernel - loads[held][4]
        out.write(PROGRAM.pack(1, 7, offset, start, kernel, size, size, 0))
        for place, row in zip(places, loads, strict=True):
            out.write(PROGRAM.pack(1, 7, place, base + row[4], row[4], row[5], row[5], 0))
        out.write(notes)
        for place, row in zip(places, loads, strict=True):
            out.seek(place)
            dump.seek(row[2])
            out.write(dump.read(row[5]))


def cut_elf(core: bytearray, page: int) -> None:
    """Leave the page at the virtual address `page` out of the ELF dump `core`.

    The program header that has it ends there, and a new one has the rest; all of them go to the
    end of the file.
    """
    head = list(HEADER.unpack_from(core))
    rows = []
    for number in range(head[10]):
        row = list(PROGRAM.unpack_from(core, head[5] + number * PROGRAM.size))
        kind, flags, offset, start, physical, saved, size, align = row
        before, after = page - start, page - start + PAGE
        if kind != 1 or not 0 <= before < saved:
            rows.append(row)
            continue
        rows.append([kind, flags, offset, start, physical, before, after, align])
        places = (each + after for each in (offset, start, physical))
        rows.append([kind, flags, *places, saved - after, size - after, align])
    assert len(rows) == head[10] + 1
    head[5], head[10] = len(core), len(rows)
    HEADER.pack_into(core, 0, *head)
    for row in rows:
        core += PROGRAM.pack(*row)


def cut_kdump(core: bytearray, page: int) -> None:
    """Leave the page at the physical address `page` out of the kdump file `core`.

    Its bit in the second bitmap goes, and its description in the table.
    """
    byte, bit = divmod(page // PAGE, 8)
    bitmap, table = tables(core)
    assert core[bitmap + byte] & 1 << bit
    before = sum(each.bit_count() for each in core[bitmap : bitmap + byte])
    before += (core[bitmap + byte] & (1 << bit) - 1).bit_count()
    pages = sum(each.bit_count() for each in core[bitmap:table])
    core[bitmap + byte] &= ~(1 << bit)
    start, end = (table + number * DESCRIPTION.size for number in (before, pages))
    core[start:end] = core[start + DESCRIPTION.size : end] + bytes(DESCRIPTION.size)


def tables(core: bytearray) -> tuple[int, int]:
    """Return where the second bitmap and the page descriptions of a kdump file begin."""
    block, sub_header, blocks, _ = struct.unpack_from("<iiII", core, 428)
    table = (1 + sub_header + blocks) * block
    return table - blocks // 2 * block, table


def note(name: bytes, data: bytes) -> bytes:
    head = struct.pack("<III", len(name), len(data), 0)
    return head + name + bytes(-len(name) % 4) + data + bytes(-len(data) % 4)


ZLIB, SNAPPY = 1, 4  # of struct page_desc's flags, and of the header's status
DESCRIPTION = struct.Struct("<QIIQ")  # struct page_desc: offset, size, flags, page_flags


def recompress(source: Path, target: Path) -> None:
    """Write a zlib kdump file anew with snappy, which no makedumpfile of Debian's has.

    A page becomes one literal, which is a valid form of it.
    """
    data = bytearray(source.read_bytes())
    bitmap, table = tables(data)
    pages = sum(byte.bit_count() for byte in data[bitmap:table])
    data[424:428] = SNAPPY.to_bytes(4, "little")
    with target.open("wb") as out:
        for number in range(pages):
            at = table + number * DESCRIPTION.size
            offset, size, flags, page_flags = DESCRIPTION.unpack_from(data, at)
            if flags & ZLIB:
                packed = snappy(zlib.decompress(data[offset : offset + size]))
                DESCRIPTION.pack_into(data, at, len(data), len(packed), SNAPPY, page_flags)
                data += packed
        out.write(data)


def snappy(page: bytes) -> bytes:
    """Return `page` in snappy's format: its length as a varint, then one literal."""
    length = bytes((len(page) & 0x7F | 0x80, len(page) >> 7))
    return length + b"\xf4" + (len(page) - 1).to_bytes(2, "little") + page
