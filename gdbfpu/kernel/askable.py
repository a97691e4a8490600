# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions of this kernel that a stopped CPU can be made to execute, to tell its registers.

They are searched in the file: to read megabytes over KGDB would take minutes. Then memory must have
the same bytes, or for those that save FPU registers, another instruction of that kind: the kernel
replaces XSAVE by XSAVEOPT or XSAVES when it boots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from gdbfpu.errors import GdbFpuError, MissingSymbol
from gdbfpu.layouts.elf import opened
from gdbfpu.layouts.types import Layouts
from gdbfpu.probes.asking import (
    LONGEST,
    Save,
    Site,
    control_reads,
    cpuids,
    guarded,
    msr_reads,
    save_at,
)
from gdbfpu.target import Memory

__all__ = ("ENTRY", "Askable", "find_askable")

ENTRY = "exception_table_entry"
"""The struct that the search needs to know."""

_MOST_TRIED = 64  # places whose bytes in memory are compared
_UNFIT = ("rsp", "rip", "rax", "rdx")  # KGDB does not set the first; the last two have the mask


@dataclass(frozen=True)
class Askable:
    """An instruction of each kind. `saves` are those that save FPU registers, by what they do."""

    cr0: Site
    cr4: Site
    cpuid: Site
    rdmsr: Site
    saves: tuple[Save, ...]

    def save(self, form: str) -> Save:
        """Return an instruction that saves FPU registers in the format `form`."""
        for save in self.saves:
            if save.form == form:
                return save
        raise GdbFpuError(f"this kernel has no instruction that saves FPU registers as {form}")


def find_askable(target: Memory, vmlinux: Path, types: Layouts) -> Askable:
    """Return the instructions of the kernel whose file is `vmlinux`; raise GdbFpuError.

    `types` describe ENTRY.
    """
    with opened(vmlinux) as elf:
        code, table = elf.section(".text"), elf.section("__ex_table")
        if code is None or table is None or not code.present or not table.present:
            raise GdbFpuError(f"{vmlinux} has no .text or no __ex_table")
        text, start = elf.contents(code), code.start + target.slide
        end = _end(target, start, len(text))
        entry = types.struct(ENTRY).size, types.offset(ENTRY, "insn")
        found = guarded(elf.contents(table), table.start + target.slide, *entry)
        inside = [address for address in found if start <= address < end]
    text = text[: end - start]
    heads = [(a, text[a - start : a - start + LONGEST]) for a in inside]
    return Askable(
        cr0=_same(target, "read of CR0", control_reads(text, start, 0)),
        cr4=_same(target, "read of CR4", control_reads(text, start, 4)),
        cpuid=_same(target, "CPUID", cpuids(text, start)),
        rdmsr=_same(target, "guarded RDMSR", filter(None, (msr_reads(c, a) for a, c in heads))),
        saves=tuple(_saves(target, [a for a, c in heads if save_at(c, a)])),
    )


def _end(target: Memory, start: int, size: int) -> int:
    """Return where the text ends that the kernel keeps; behind it is what it frees after boot."""
    end = target.symbol_address("_etext")
    if end is None:
        raise MissingSymbol("_etext")
    return min(end, start + size)


def _same(target: Memory, what: str, sites: Iterable[Site]) -> Site:
    """Return the first of `sites` whose bytes memory has, too."""
    for site in islice(sites, _MOST_TRIED):
        if target.read_memory(site.address, len(site.code)) == site.code:
            return site
    raise GdbFpuError(f"this kernel's text has no {what}")


def _saves(target: Memory, addresses: Iterable[int]) -> Iterator[Save]:
    for address in islice(addresses, _MOST_TRIED):
        save = save_at(target.read_memory(address, LONGEST), address)
        if save is not None and save.base not in _UNFIT:
            yield save
