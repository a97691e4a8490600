# SPDX-License-Identifier: GPL-2.0-or-later
"""DrgnMemory: the memory of a kernel in a dump, read through drgn.

No other module imports drgn. This one imports it when it opens a dump, not before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gdbfpu.errors import LEFT_OUT, GdbFpuError, MemoryFault, UsageError
from gdbfpu.kdump import vmcoreinfo as info
from gdbfpu.kdump.pages import Pages
from gdbfpu.kernel import identity
from gdbfpu.kernel.stubs import CORE
from gdbfpu.kernel.vmcore import Vmcore
from gdbfpu.layouts import elf
from gdbfpu.xsave.core import ELF_MAGIC

__all__ = ("DrgnMemory",)

_U64 = (1 << 64) - 1
_PHYSICAL = 1 << 52  # bytes, the most that page tables can map
_PAGE = 1 << 12
_TEXT = 0xFFFFFFFF80000000  # __START_KERNEL_map: where the kernel itself is mapped

_Read = Callable[[int, int], bytes]
"""Returns so many bytes at an address; raises MemoryFault."""


class DrgnMemory:
    """The kernel in the dump `core`, with the symbols of `vmlinux`.

    `core` is an ELF dump or a compressed kdump file. `vmcoreinfo` is the kernel's VMCOREINFO
    (bytes), for a dump that does not contain it. Dumps by makedumpfile and /proc/vmcore contain
    it, dumps by QEMU do not. Raises UsageError if drgn is missing or cannot read the dump,
    GdbFpuError if `vmlinux` is that of another kernel.
    """

    stub = CORE
    machine = None

    def __init__(self, core: Path, vmlinux: Path, vmcoreinfo: bytes | None = None) -> None:
        drgn = _drgn()
        elf.build_id(vmlinux)  # raises an error if the file cannot be read
        self._fault = drgn.FaultError
        text = None if vmcoreinfo is None else info.with_top_table(vmcoreinfo)
        open_it = _open_elf if _is_elf(core) else _open_kdump
        self._program, self._walker = open_it(drgn, core, text)
        self._program.load_debug_info([vmlinux])
        if self.symbol_address("__start_notes") is None:  # drgn ignores another kernel's symbols
            raise GdbFpuError(
                f"{vmlinux} does not match {core}: give the vmlinux of the dumped kernel"
            )
        self.slide = identity.file_slide(self, vmlinux)

    def read_memory(self, address: int, length: int) -> bytes:
        """Return exactly `length` bytes at `address`; raise MemoryFault otherwise."""
        address &= _U64  # NULL minus a member's offset wraps around, as in C
        try:
            return bytes(self._program.read(address, length))
        except MemoryFault as fault:  # at a physical address
            raise MemoryFault(address, length, fault.why) from fault
        except (self._fault, OverflowError) as error:
            raise MemoryFault(address, length, self._why(address, length)) from error

    def _why(self, address: int, length: int) -> str:
        """Return why drgn cannot read an address, as far as the kernel's page tables tell.

        If they map memory that is not in the dump, a filter left that memory out.
        """
        try:
            self._walker.read(address, length)
        except MemoryFault as fault:
            return fault.why
        except (self._fault, OverflowError):
            pass
        return ""

    def symbol_address(self, name: str) -> int | None:
        """Return the address of symbol `name`, or None if the kernel has none."""
        symbol = self._symbol(name)
        return None if symbol is None else int(symbol.address)

    def symbol_size(self, name: str) -> int:
        """Return the size in bytes of the object `name`, or 0 if it is not known."""
        symbol = self._symbol(name)
        return 0 if symbol is None else int(symbol.size)

    def _symbol(self, name: str) -> Any:
        try:
            return self._program.symbol(name)
        except LookupError:
            return None


def _drgn() -> Any:
    """Return the package drgn; raise UsageError if it is not installed or too old."""
    try:
        import drgn
    except ImportError as error:
        raise UsageError("reading a dump needs drgn: pip install drgn") from error
    if not hasattr(drgn.Program, "set_linux_kernel_custom"):  # since 0.1.0
        raise UsageError("this drgn is too old to read a dump: pip install --upgrade drgn")
    logging.getLogger("drgn").setLevel(logging.ERROR)  # its warnings become our errors
    return drgn


def _is_elf(core: Path) -> bool:
    try:
        with core.open("rb") as file:
            return file.read(len(ELF_MAGIC)) == ELF_MAGIC
    except OSError as error:
        raise UsageError(f"cannot read {core}: {error.strerror}") from error


def _open_kdump(drgn: Any, core: Path, text: bytes | None) -> tuple[Any, Any]:
    """Return a drgn Program of the kdump file `core`, and one that walks its page tables.

    libkdumpfile knows more ways to translate addresses than drgn, so the first Program uses it. But
    libkdumpfile does not tell whether a filter left a page out. The second Program finds that out.
    Raises UsageError.
    """
    program, pages = _open(drgn, core, text), Pages(core)

    def physical(address: int, length: int) -> bytes:
        try:
            return bytes(program.read(address, length, True))
        except drgn.FaultError as error:
            why = LEFT_OUT if pages.left_out(address, length) else ""
            raise MemoryFault(address, length, why) from error

    text = program["VMCOREINFO"].to_bytes_()
    try:
        program.read(info.top_table(text), _PAGE)
    except drgn.FaultError as error:  # no filter leaves that out
        raise UsageError(
            f"drgn cannot read {core}: {_line(error)}; "
            "if that is its compression, rewrite the dump with `makedumpfile -c`"
        ) from error
    return program, _walker(drgn, core, text, physical, program.read)


def _open(drgn: Any, core: Path, text: bytes | None) -> Any:
    """Return a drgn Program of the kdump file `core`; raise UsageError.

    We name the platform, because QEMU leaves most of the dump's utsname empty.
    """
    try:
        program = drgn.Program(_platform(drgn), vmcoreinfo=text)
        program.set_core_dump(core)
    except OSError as error:
        raise UsageError(f"cannot read {core}: {error.strerror}") from error
    except Exception as error:  # drgn raises a plain Exception for errors of libkdumpfile
        said = _line(error)
        hint = "; give its --vmcoreinfo" if "vmcoreinfo" in said and text is None else ""
        raise UsageError(f"drgn cannot read {core}: {said}{hint}") from error
    if not program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise UsageError(f"{core} is not a dump of a Linux kernel")
    return program


def _open_elf(drgn: Any, core: Path, text: bytes | None) -> tuple[Any, Any]:
    """Return what `_open_kdump` returns, for the ELF dump `core`: here one Program is both.

    drgn itself reads zeros where a filter left memory out. The program headers of a dump by QEMU
    may have no virtual addresses, or only those that the CPUs mapped at that moment. So we follow
    the kernel's page tables alone. Raises UsageError.
    """
    dump = Vmcore(core)
    text = text or dump.vmcoreinfo()
    if text is None:
        raise UsageError(f"{core} contains no VMCOREINFO: give its --vmcoreinfo")

    def virtual(address: int, length: int) -> bytes:
        try:
            return dump.read_virtual(address, length)
        except MemoryFault:  # no program header has it: take the address the kernel was linked for
            return dump.read_physical(address - _TEXT, length)

    program = _walker(drgn, core, text, dump.read_physical, virtual)
    return program, program


def _walker(drgn: Any, core: Path, text: bytes, physical: _Read, virtual: _Read) -> Any:
    """Return a Program that finds virtual memory by the kernel's page tables in physical memory.

    VMCOREINFO `text` says where they begin. Up to 4.9 it does so by a virtual address only.
    """
    program = drgn.Program(_platform(drgn))
    try:
        program.set_linux_kernel_custom(text, False)
    except (drgn.BadDataError, OverflowError) as error:
        raise UsageError(f"drgn cannot read {core}: {_line(error)}") from error
    program.add_memory_segment(0, _PHYSICAL, lambda at, size, *_: physical(at, size), True)
    top = info.top_table(text)
    if top is not None and not info.names_phys_base(text):
        program.add_memory_segment(top, _PAGE, lambda at, size, *_: virtual(at, size))
    return program


def _platform(drgn: Any) -> Any:
    return drgn.Platform(drgn.Architecture.X86_64)


def _line(error: BaseException) -> str:
    """Return the first line of what drgn says."""
    return (str(error).splitlines() or [type(error).__name__])[0]
