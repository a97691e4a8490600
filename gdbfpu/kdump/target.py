# SPDX-License-Identifier: GPL-2.0-or-later
"""DrgnMemory: the memory of a kernel in a compressed kdump file, read through drgn.

No other module imports drgn. This one imports it when it opens a dump, not before.
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
    """The kernel in the dump `core`, with the symbols of `vmlinux`.

    `vmcoreinfo` is the kernel's VMCOREINFO (bytes), for a dump that does not contain it. Dumps by
    makedumpfile contain it, dumps by QEMU do not. Raises UsageError if drgn is missing or cannot
    read the dump, GdbFpuError if `vmlinux` is that of another kernel.
    """

    stub = CORE
    machine = None

    def __init__(self, core: Path, vmlinux: Path, vmcoreinfo: bytes | None = None) -> None:
        drgn = _drgn()
        elf.build_id(vmlinux)  # raises an error if the file cannot be read
        self._fault = drgn.FaultError
        self._program = _open(drgn, core, vmcoreinfo)
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
        except (self._fault, OverflowError) as error:
            raise MemoryFault(address, length) from error

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
    """Return the package drgn; raise UsageError if it is not installed."""
    try:
        import drgn
    except ImportError as error:
        raise UsageError("reading a kdump file needs drgn: pip install drgn") from error
    return drgn


def _open(drgn: Any, core: Path, vmcoreinfo: bytes | None) -> Any:
    """Return the drgn Program of `core`; raise UsageError.

    We name the platform, because QEMU leaves most of the dump's utsname empty.
    """
    logging.getLogger("drgn").setLevel(logging.ERROR)  # its warnings become our errors
    try:
        platform = drgn.Platform(drgn.Architecture.X86_64)
        program = drgn.Program(platform, vmcoreinfo=vmcoreinfo)
        program.set_core_dump(core)
        known = program.flags & drgn.ProgramFlags.IS_LINUX_KERNEL
    except OSError as error:
        raise UsageError(f"cannot read {core}: {error.strerror}") from error
    except Exception as error:  # drgn raises a plain Exception for errors of libkdumpfile
        text = str(error).splitlines()[0]
        hint = "; give its --vmcoreinfo" if "vmcoreinfo" in text and vmcoreinfo is None else ""
        raise UsageError(f"drgn cannot read {core}: {text}{hint}") from error
    if not known:
        raise UsageError(f"{core} is not a dump of a Linux kernel")
    return program
