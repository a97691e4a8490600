# SPDX-License-Identifier: GPL-2.0-or-later
"""Is a file the kernel's vmlinux, and has it types?"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Callable

from gdbfpu.doctor.distributions import debug_package, distribution
from gdbfpu.doctor.finding import Answer, fine, trouble
from gdbfpu.errors import GdbFpuError, MissingType, NoTypes
from gdbfpu.layouts import elf
from gdbfpu.layouts.types import Layouts

__all__ = ("file_answer", "types_answer")

_BANNER = "linux_banner"
_RELEASE = re.compile(rb"Linux version ([\w.+~-]{1,100}) ")
_CONFIG = (
    "# or build the kernel with one of these (the first before 5.18: CONFIG_DEBUG_INFO=y)",
    "CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y",
    "CONFIG_DEBUG_INFO_BTF=y",
)
_USE = "# use the file vmlinux of the kernel's build or of its debug package"


def file_answer(vmlinux: Path) -> Answer:
    """Return whether `vmlinux` is an x86-64 kernel with symbols, and which."""
    try:
        build_id = elf.build_id(vmlinux)
        symbols = elf.symbol_addresses(vmlinux, (_BANNER,))
    except GdbFpuError as error:
        return trouble(str(error), _USE)
    if not symbols:
        return trouble(
            f"{vmlinux} has no symbol {_BANNER}: it is stripped, or no Linux kernel",
            _USE,
        )
    megabytes = vmlinux.stat().st_size / 1e6
    return fine(f"{vmlinux}, {megabytes:,.0f} MB, {_identified(build_id)}")


def _identified(build_id: str | None) -> str:
    return f"build-id {build_id}" if build_id else "without build-id"


def types_answer(vmlinux: Path, read: Callable[[], Layouts]) -> Answer:
    """Return where the types come from that `read` returns, or how to get a file with types."""
    try:
        layouts = read()
    except (NoTypes, MissingType) as error:
        package = debug_package(distribution(), _release(vmlinux))
        return trouble(str(error), *package, *_CONFIG)
    return fine(layouts.origin)


def _release(vmlinux: Path) -> str:
    """Return what `uname -r` prints under the kernel, empty if the file does not tell."""
    with suppress(GdbFpuError):
        for address in elf.symbol_addresses(vmlinux, (_BANNER,)).values():
            found = _RELEASE.match(elf.static_string(vmlinux, address))
            return found[1].decode("ascii") if found else ""
    return ""
