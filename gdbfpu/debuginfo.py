# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the layouts of this kernel's types come from: DWARF, BTF in vmlinux, or BTF in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from gdbfpu import btf, dwarf, elf
from gdbfpu.errors import CorruptState, GdbFpuError, MissingSymbol
from gdbfpu.layout import Layouts
from gdbfpu.target import Target

__all__ = ("Progress", "from_target", "read_layouts")

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and those to read."""

_CHUNK = 32 << 10  # bytes between two calls of a Progress


def read_layouts(
    target: Target,
    vmlinux: Path,
    wanted: Iterable[str],
    anchors: Iterable[str],
    progress: Progress | None = None,
) -> Layouts:
    """Return the layouts of the types `wanted`; their `source` says where they come from.

    The file `vmlinux` is asked first, for DWARF (`DWARF`; `anchors` are functions whose source
    files include the types) and for BTF (`BTF`), then the memory of `target` (`BTF in memory`).
    Raises GdbFpuError when there is neither, MissingSymbol when the kernel has none of `anchors`,
    and what `dwarf.read_layouts`, `btf.read_layouts` and `from_target` raise.
    """
    if dwarf.has_types(vmlinux):
        names = tuple(anchors)
        found = [target.symbol_address(name) for name in names]
        addresses = [address - target.slide for address in found if address is not None]
        if not addresses:
            raise MissingSymbol(names[0])
        return dwarf.read_layouts(vmlinux, wanted, addresses)
    data = elf.btf_section(vmlinux)
    layouts = btf.read_layouts(data, wanted) if data else from_target(target, wanted, progress)
    if layouts is None:
        raise GdbFpuError(
            f"{vmlinux} has neither DWARF with .debug_aranges nor BTF: build the kernel with "
            "CONFIG_DEBUG_INFO, or install its debug package, and give GDB that vmlinux"
        )
    return layouts


def from_target(
    target: Target, wanted: Iterable[str], progress: Progress | None = None
) -> Layouts | None:
    """Return the layouts of the types `wanted` from the BTF in the kernel's memory.

    None where the kernel has none (no CONFIG_DEBUG_INFO_BTF), or where vmlinux does not say where
    it is. It is some MiB, minutes over a serial line: nothing but its header is read until that
    is found right. Raises MemoryFault, and what `btf.read_layouts` raises.
    """
    start, stop = target.symbol_address("__start_BTF"), target.symbol_address("__stop_BTF")
    if start is None or stop is None or start == stop:
        return None
    size = stop - start
    if not btf.HEADER_SIZE <= size <= btf.MAX_SIZE:
        raise CorruptState(f"the kernel's BTF is {size} bytes long, which cannot be")
    btf.check_header(target.read_memory(start, btf.HEADER_SIZE), size)
    data = bytearray()
    while len(data) < size:
        data += target.read_memory(start + len(data), min(_CHUNK, size - len(data)))
        if progress is not None:
            progress(len(data), size)
    layouts = btf.read_layouts(bytes(data), wanted)
    layouts.source = "BTF in memory"
    return layouts
