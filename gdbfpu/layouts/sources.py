# SPDX-License-Identifier: GPL-2.0-or-later
"""Where layouts of a kernel's types come from: a cache, DWARF, BTF in files or in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gdbfpu.errors import CorruptState, GdbFpuError, MissingType
from gdbfpu.layouts import btf, elf
from gdbfpu.layouts import cache as layoutcache
from gdbfpu.layouts.cache import Question
from gdbfpu.layouts.needs import still_needed
from gdbfpu.layouts.search import has_dwarf
from gdbfpu.layouts.search import read_layouts as read_dwarf
from gdbfpu.layouts.separate import debug_files
from gdbfpu.layouts.types import Layouts
from gdbfpu.target import Memory

__all__ = (
    "Addresses",
    "Helpers",
    "Progress",
    "from_file",
    "from_target",
    "neither",
    "read_layouts",
)

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and those to read."""

Addresses = Callable[[Iterable[str]], dict[str, int]]
"""Called with names of symbols; returns the addresses of those that there are."""

_CHUNK = 32 << 10  # bytes between two calls of a Progress
_NOWHERE = -1  # the address of a function that the kernel does not have


@dataclass(frozen=True)
class Helpers:
    """Who else knows of debug files: `known` are those that a debugger has opened for the kernel.

    `fetch` is called with a build-id (hex) when nothing on this machine has the types; it returns
    a debug file from elsewhere, or None, and raises GdbFpuError when that fails.
    """

    known: tuple[Path, ...] = ()
    fetch: Callable[[str], Path | None] | None = None


_NOBODY = Helpers()


def read_layouts(
    target: Memory,
    vmlinux: Path,
    question: Question,
    progress: Progress | None = None,
    helpers: Helpers = _NOBODY,
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

    failed: GdbFpuError | None = None
    try:
        layouts = from_file(vmlinux, question, addresses, helpers)
    except GdbFpuError as error:
        layouts, failed = None, error
    if layouts is None:
        layouts = from_target(target, question.types, progress)
        if layouts is not None:
            there = addresses([symbol for symbol, _ in question.variables])
            _check_needed(layouts, question, _needed(question, there))
            layouts.note = str(failed or f"{vmlinux.name} has neither DWARF nor BTF")
    if layouts is None:
        raise failed or neither(vmlinux)
    return layouts


def neither(vmlinux: Path) -> GdbFpuError:
    """Return the error that says what `vmlinux` lacks."""
    return GdbFpuError(
        f"{vmlinux} has neither DWARF nor BTF, and no debug file of it is there: build the kernel "
        "with CONFIG_DEBUG_INFO, or install its debug package, and give GDB that vmlinux"
    )


def from_file(
    vmlinux: Path, question: Question, addresses: Addresses, helpers: Helpers = _NOBODY
) -> Layouts | None:
    """Return the layouts of `question.types` from the cache, from `vmlinux` or its debug files.

    DWARF is asked first (`DWARF`), then BTF (`BTF`, with a note that says why not DWARF), then
    who can fetch a debug file. None where there is none of these. `addresses` gives those of
    symbols as the file has them. What was read is kept in the cache. Raises MissingType when
    needed types are not there, and what `search.read_layouts` and `btf.read_layouts` raise.
    """
    files = tuple(_files(vmlinux, helpers))
    question = question._replace(files=tuple(map(layoutcache.stamp, files)))
    layouts = layoutcache.load(question)
    if layouts is not None:
        return layouts
    reading = _Reading(question, addresses)
    layouts = reading.first(reading.dwarf, files) or reading.first(reading.btf, files)
    if layouts is None and helpers.fetch is not None:
        layouts = reading.first(reading.dwarf, reading.fetched(helpers.fetch))
    if layouts is None:
        reading.give_up()
    elif layouts.source == "DWARF" or not reading.failures:
        layoutcache.store(question, layouts)
    return layouts


def _files(vmlinux: Path, helpers: Helpers) -> Iterator[Path]:
    """Yield `vmlinux`, and where it has no DWARF itself, its debug files, the known ones first."""
    yield vmlinux
    if not has_dwarf(vmlinux):
        yield from dict.fromkeys((*helpers.known, *debug_files(vmlinux)))


class _Reading:
    """One attempt after the other to answer `question`; `failures` are those that went wrong."""

    def __init__(self, question: Question, addresses: Addresses) -> None:
        self.failures: list[GdbFpuError] = []
        self._question = question
        self._known = addresses((*question.anchors, *(symbol for symbol, _ in question.variables)))
        self._needed = _needed(question, self._known)

    def first(
        self, read: Callable[[Path], Layouts | None], files: Iterable[Path]
    ) -> Layouts | None:
        """Return what `read` finds in the first of `files` where it finds anything."""
        for file in files:
            try:
                layouts = read(file)
            except GdbFpuError as error:
                self.failures.append(error)
                continue
            if layouts is not None:
                return layouts
        return None

    def dwarf(self, file: Path) -> Layouts | None:
        """Return the layouts in the DWARF of `file`, None where it has none."""
        if not has_dwarf(file):
            return None
        names = self._question.anchors
        known = self._known or elf.symbol_addresses(file, names)
        anchors = {name: known.get(name, _NOWHERE) for name in names}
        return read_dwarf(file, self._question.types, anchors, self._needed)

    def btf(self, file: Path) -> Layouts | None:
        """Return the layouts in the section .BTF of `file`, None where it has none."""
        data = elf.btf_section(file)
        if not data:
            return None
        layouts = btf.read_layouts(data, self._question.types)
        _check_needed(layouts, self._question, self._needed)
        layouts.note = "; ".join(map(str, self.failures)) or f"{file.name} has no DWARF"
        return layouts

    def fetched(self, fetch: Callable[[str], Path | None]) -> Iterator[Path]:
        """Yield the debug file that `fetch` gets for the kernel's build-id, if it does."""
        try:
            file = fetch(self._question.build_id) if self._question.build_id else None
        except GdbFpuError as error:
            self.failures.append(error)
            return
        if file is not None:
            yield file

    def give_up(self) -> None:
        """Raise what went wrong, in one line; return where nothing was there to go wrong."""
        if len(self.failures) == 1:
            raise self.failures[0]
        if self.failures:
            raise GdbFpuError("; ".join(dict.fromkeys(map(str, self.failures))))


def _needed(question: Question, there: Iterable[str]) -> tuple[str, ...]:
    """Return the types that have to be there, those of the variables `there` among them."""
    return (
        *question.needed,
        *(name for symbol, name in question.variables if symbol in set(there)),
    )


def _check_needed(layouts: Layouts, question: Question, needed: Iterable[str]) -> None:
    """Raise MissingType unless all types are there that have to be."""
    found = {name: layouts.struct(name) for name in layouts.names()}
    missing = still_needed(found, question.types, tuple(needed))
    if missing:
        raise MissingType(*sorted(missing), why=f"{layouts.source} does not have them")


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
