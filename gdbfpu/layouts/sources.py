# SPDX-License-Identifier: GPL-2.0-or-later
"""The sources of a kernel's layouts: the cache, DWARF, BTF in files, BTF in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gdbfpu.errors import CorruptState, GdbFpuError, MissingType, NoTypes
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
    "addresses_of",
    "from_cache",
    "from_file",
    "from_target",
    "neither",
    "read_layouts",
)

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and all bytes to read."""

Addresses = Callable[[Iterable[str]], dict[str, int]]
"""Called with names of symbols; returns the addresses of those that exist."""

_CHUNK = 32 << 10  # bytes between two calls of a Progress
_NOWHERE = -1  # the address of a function that the kernel does not have


@dataclass(frozen=True)
class Helpers:
    """Other ways to find debug files. `known` are the files a debugger has opened for the kernel.

    `fetch` is called with a build-id (hex) if nothing on this machine has the types. It returns a
    debug file from elsewhere, or None. It raises GdbFpuError if it cannot get the file.
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

    The cache and the file `vmlinux` come first (see `from_file`), then the memory of `target`
    (`BTF in memory`). The caller has checked that the running kernel has `question.build_id`.
    Raises GdbFpuError if no source has types, and what `from_file` and `from_target` raise.
    """

    addresses = addresses_of(target)
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


def addresses_of(target: Memory) -> Addresses:
    """Return what finds symbols of `target`, at their addresses in vmlinux."""

    def addresses(names: Iterable[str]) -> dict[str, int]:
        found = ((name, target.symbol_address(name)) for name in names)
        return {name: address - target.slide for name, address in found if address is not None}

    return addresses


def neither(vmlinux: Path) -> NoTypes:
    """Return the error for a `vmlinux` that has no types."""
    return NoTypes(
        f"{vmlinux} has neither DWARF nor BTF, and its debug file is missing: build the kernel "
        "with CONFIG_DEBUG_INFO or install its debug package, and use that vmlinux"
    )


def from_file(
    vmlinux: Path, question: Question, addresses: Addresses, helpers: Helpers = _NOBODY
) -> Layouts | None:
    """Return the layouts of `question.types` from the cache, from `vmlinux` or its debug files.

    DWARF comes first (`DWARF`), then BTF (`BTF`, with a note that says why DWARF is not used),
    then a debug file that `helpers` fetch. Returns None if there is none of these. `addresses`
    returns addresses of symbols as in the file. The cache keeps the result. Raises MissingType if
    needed types are missing, and what `search.read_layouts` and `btf.read_layouts` raise.
    """
    files = tuple(_files(vmlinux, helpers))
    question = _of_files(question, files)
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


def from_cache(vmlinux: Path, question: Question, helpers: Helpers = _NOBODY) -> Layouts | None:
    """Return what `from_file` has kept, None if it has kept nothing."""
    return layoutcache.load(_of_files(question, tuple(_files(vmlinux, helpers))))


def _of_files(question: Question, files: tuple[Path, ...]) -> Question:
    return question._replace(files=tuple(map(layoutcache.stamp, files)))


def _files(vmlinux: Path, helpers: Helpers) -> Iterator[Path]:
    """Yield `vmlinux` and, if it has no DWARF itself, its debug files, the known ones first."""
    yield vmlinux
    if not has_dwarf(vmlinux):
        yield from dict.fromkeys((*helpers.known, *debug_files(vmlinux)))


class _Reading:
    """Tries one source after the other to answer `question`. `failures` has the errors."""

    def __init__(self, question: Question, addresses: Addresses) -> None:
        self.failures: list[GdbFpuError] = []
        self._question = question
        self._known = addresses((*question.anchors, *(symbol for symbol, _ in question.variables)))
        self._needed = _needed(question, self._known)

    def first(
        self, read: Callable[[Path], Layouts | None], files: Iterable[Path]
    ) -> Layouts | None:
        """Return what `read` finds in the first of `files` that has any types."""
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
        """Return the layouts in the DWARF of `file`, None if it has no DWARF."""
        if not has_dwarf(file):
            return None
        names = self._question.anchors
        known = self._known or elf.symbol_addresses(file, names)
        anchors = {name: known.get(name, _NOWHERE) for name in names}
        return read_dwarf(file, self._question.types, anchors, self._needed)

    def btf(self, file: Path) -> Layouts | None:
        """Return the layouts in the section .BTF of `file`, None if it has no BTF."""
        data = elf.btf_section(file)
        if not data:
            return None
        layouts = btf.read_layouts(data, self._question.types)
        _check_needed(layouts, self._question, self._needed)
        layouts.note = "; ".join(map(str, self.failures)) or f"{file.name} has no DWARF"
        return layouts

    def fetched(self, fetch: Callable[[str], Path | None]) -> Iterator[Path]:
        """Yield the debug file that `fetch` gets for the kernel's build-id, if any."""
        try:
            file = fetch(self._question.build_id) if self._question.build_id else None
        except GdbFpuError as error:
            self.failures.append(error)
            return
        if file is not None:
            yield file

    def give_up(self) -> None:
        """Raise all failures as one error of one line; return normally if there were none."""
        if len(self.failures) == 1:
            raise self.failures[0]
        if self.failures:
            raise GdbFpuError("; ".join(dict.fromkeys(map(str, self.failures))))


def _needed(question: Question, there: Iterable[str]) -> tuple[str, ...]:
    """Return the types that must exist, including those of the variables `there`."""
    return (
        *question.needed,
        *(name for symbol, name in question.variables if symbol in set(there)),
    )


def _check_needed(layouts: Layouts, question: Question, needed: Iterable[str]) -> None:
    """Raise MissingType if a type that must exist is missing."""
    found = {name: layouts.struct(name) for name in layouts.names()}
    missing = still_needed(found, question.types, tuple(needed))
    if missing:
        raise MissingType(*sorted(missing), why=f"{layouts.source} does not have them")


def from_target(
    target: Memory, wanted: Iterable[str], progress: Progress | None = None
) -> Layouts | None:
    """Return the layouts of the types `wanted` from the BTF in the kernel's memory.

    Returns None if the kernel has no BTF (no CONFIG_DEBUG_INFO_BTF), or if vmlinux does not say
    where the BTF is. Reading some MiB takes minutes over a serial line, so the header is read and
    checked first. Raises MemoryFault, and what `btf.read_layouts` raises.
    """
    start, stop = target.symbol_address("__start_BTF"), target.symbol_address("__stop_BTF")
    if start is None or stop is None or start == stop:
        return None
    size = stop - start
    if not btf.HEADER_SIZE <= size <= btf.MAX_SIZE:
        raise CorruptState(f"the kernel's BTF is {size} bytes long, which is impossible")
    btf.check_header(target.read_memory(start, btf.HEADER_SIZE), size)
    data = bytearray()
    while len(data) < size:
        data += target.read_memory(start + len(data), min(_CHUNK, size - len(data)))
        if progress is not None:
            progress(len(data), size)
    layouts = btf.read_layouts(bytes(data), wanted)
    layouts.source = "BTF in memory"
    return layouts
