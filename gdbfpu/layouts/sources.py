# SPDX-License-Identifier: GPL-2.0-or-later
"""Where layouts of a kernel's types come from: a cache, DWARF, BTF in vmlinux or in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from gdbfpu.errors import CorruptState, GdbFpuError, MissingSymbol
from gdbfpu.layouts import btf, dwarf, elf
from gdbfpu.layouts import cache as layoutcache
from gdbfpu.layouts.cache import Question
from gdbfpu.layouts.types import Layouts
from gdbfpu.target import Memory

__all__ = ("Addresses", "Progress", "from_file", "from_target", "neither", "read_layouts")

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and those to read."""

Addresses = Callable[[Iterable[str]], dict[str, int]]
"""Called with names of symbols; returns the addresses of those that there are."""

_CHUNK = 32 << 10  # bytes between two calls of a Progress


def read_layouts(
    target: Memory,
    vmlinux: Path,
    question: Question,
    progress: Progress | None = None,
) -> Layouts:
    """Return the layouts of `question.types`; their `source` says where they come from.

    The file `vmlinux`, or what is kept of it, is asked first (see `from_file`), then the memory
    of `target` (`BTF in memory`). The caller has made sure that `question.build_id` is that of
    the kernel that runs. Raises GdbFpuError when there is neither, and what `from_file` and
    `from_target` raise.
    """

    def addresses(names: Iterable[str]) -> dict[str, int]:
        found = ((name, target.symbol_address(name)) for name in names)
        return {name: address - target.slide for name, address in found if address is not None}

    layouts = from_file(vmlinux, question, addresses)
    layouts = layouts or from_target(target, question.types, progress)
    if layouts is None:
        raise neither(vmlinux)
    return layouts


def neither(vmlinux: Path) -> GdbFpuError:
    """Return the error that says what `vmlinux` lacks."""
    return GdbFpuError(
        f"{vmlinux} has neither DWARF with .debug_aranges nor BTF: build the kernel with "
        "CONFIG_DEBUG_INFO, or install its debug package, and give GDB that vmlinux"
    )


def from_file(vmlinux: Path, question: Question, addresses: Addresses) -> Layouts | None:
    """Return the layouts of `question.types` from the cache or from the file `vmlinux`.

    None where it has neither DWARF that can be searched (`DWARF`) nor BTF (`BTF`). `addresses`
    gives those of functions as the file has them. What was read is kept in the cache. Raises
    MissingSymbol when the file has DWARF but none of `question.anchors`, and what
    `dwarf.read_layouts` and `btf.read_layouts` raise.
    """
    layouts = layoutcache.load(question)
    if layouts is not None:
        return layouts
    if dwarf.has_types(vmlinux):
        found = addresses(question.anchors)
        if not found:
            raise MissingSymbol(question.anchors[0])
        layouts = dwarf.read_layouts(vmlinux, question.types, found.values())
    else:
        data = elf.btf_section(vmlinux)
        layouts = btf.read_layouts(data, question.types) if data else None
    if layouts is not None:
        layoutcache.store(question, layouts)
    return layouts


def from_target(
    target: Memory, wanted: Iterable[str], progress: Progress | None = None
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
