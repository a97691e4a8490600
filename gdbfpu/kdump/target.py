# SPDX-License-Identifier: GPL-2.0-or-later
"""DrgnMemory: the Memory protocol over a compressed kdump file, which drgn reads.

The only importer of drgn, which is asked for when a dump is opened and not before.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from gdbfpu.errors import GdbFpuError, MemoryFault, UsageError
from gdbfpu.kernel import identity
from gdbfpu.kernel.stubs import CORE
from gdbfpu.layouts import elf

__all__ = ("DrgnMemory",)

_U64 = (1 << 64) - 1


class DrgnMemory:
    """The dead kernel in the dump `core`, with the symbols of `vmlinux`.

    `vmcoreinfo` is the kernel's VMCOREINFO (bytes) where the dump has none of its own, as those
    of makedumpfile have and QEMU's have not. Raises UsageError when drgn is missing or cannot
    read the dump, GdbFpuError when `vmlinux` is not its kernel.
    """

    stub = CORE
    machine = None

    def __init__(self, core: Path, vmlinux: Path, vmcoreinfo: bytes | None = None) -> None:
        drgn = _drgn()
        elf.build_id(vmlinux)  # says what is wrong with a file that cannot be read
        self._fault = drgn.FaultError
        self._program = _opened(drgn, core, vmcoreinfo)
        self._program.load_debug_info([vmlinux])
        if self.symbol_address("__start_notes") is None:  # drgn takes no other kernel's symbols
            raise GdbFpuError(f"{vmlinux} is not the kernel of {core}: name that kernel's vmlinux")
        self.slide = identity.file_slide(self, vmlinux)

    def read_memory(self, address: int, length: int) -> bytes:
        """Return exactly `length` bytes at `address`; raise MemoryFault for what is not there."""
        address &= _U64  # a member's offset taken from a NULL pointer wraps, as in C
        try:
            return bytes(self._program.read(address, length))
        except (self._fault, OverflowError) as error:
            raise MemoryFault(address, length) from error

    def symbol_address(self, name: str) -> int | None:
        """Return the address of symbol `name`, or None if the kernel has none."""
        symbol = self._symbol(name)
        return None if symbol is None else int(symbol.address)

    def symbol_size(self, name: str) -> int:
        """Return the bytes of the object called `name`, 0 when not known."""
        symbol = self._symbol(name)
        return 0 if symbol is None else int(symbol.size)

    def _symbol(self, name: str) -> Any:
        try:
            return self._program.symbol(name)
        except LookupError:
            return None


def _drgn() -> Any:
    """Return the package drgn; raise UsageError where it is not installed."""
    try:
        import drgn
    except ImportError as error:
        raise UsageError("kdump files are read through drgn: pip install drgn") from error
    return drgn


def _opened(drgn: Any, core: Path, vmcoreinfo: bytes | None) -> Any:
    """Return the drgn Program of `core`; raise UsageError.

    Its platform is given since QEMU leaves most of the header's utsname empty.
    """
    logging.getLogger("drgn").setLevel(logging.ERROR)  # what it warns of becomes an error here
    try:
        platform = drgn.Platform(drgn.Architecture.X86_64)
        program = drgn.Program(platform, vmcoreinfo=vmcoreinfo)
        program.set_core_dump(core)
        known = program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL
    except OSError as error:
        raise UsageError(f"cannot read {core}: {error.strerror}") from error
    except Exception as error:  # drgn raises Exception itself for what libkdumpfile reports
        text = str(error).splitlines()[0]
        hint = "; give its --vmcoreinfo" if "vmcoreinfo" in text and vmcoreinfo is None else ""
        raise UsageError(f"drgn cannot read {core}: {text}{hint}") from error
    if not known:
        raise UsageError(f"{core} is no dump of a Linux kernel")
    return program
