# SPDX-License-Identifier: GPL-2.0-or-later
"""What of a kernel and its CPU forbids to divert functions, or to call them from a debugger."""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.errors import CorruptState
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts
from gdbfpu.target import Memory, read_u32, read_u64

__all__ = ("TYPES", "checks_calls", "patch_sites", "preempts")

TYPES = ("jump_entry", "static_call_site", "tlb_state")
"""Types this module reads; a kernel has some of them."""

_CET = 1 << 23  # CR4.CET, SDM volume 3, 2.5
_VOLUNTARY = 1  # preempt_dynamic_voluntary; none is 0, full and lazy are larger
_MOST = 1 << 20  # bytes of a table of patch sites
# The sites of static keys and static calls, which the kernel may patch at any time.
_TABLES = (
    ("__start___jump_table", "__stop___jump_table", "jump_entry", "code"),
    ("__start_static_call_sites", "__stop_static_call_sites", "static_call_site", "addr"),
)


def preempts(target: Memory) -> bool:
    """Return whether this kernel may switch tasks at any instruction (CONFIG_PREEMPTION).

    Since 5.12 one kernel can do both; the variable `preempt_dynamic_mode` tells what was chosen.
    """
    if target.symbol_address("preempt_schedule") is None:
        return False
    mode = target.symbol_address("preempt_dynamic_mode")
    return mode is None or read_u32(target, mode) > _VOLUNTARY


def checks_calls(kernel: Kernel, types: Layouts) -> bool:
    """Return whether the CPU refuses indirect calls to functions without ENDBR64 (IBT).

    `cpu_tlbstate.cr4` has the value of CR4. `types` are TYPES.
    """
    cr4 = types.find("tlb_state", "cr4")
    if cr4 is None or kernel.target.symbol_address("cpu_tlbstate") is None:
        return False
    return bool(read_u64(kernel.target, kernel.per_cpu("cpu_tlbstate", 0) + cr4.offset) & _CET)


def patch_sites(target: Memory, types: Layouts) -> Iterator[int]:
    """Yield the addresses that the kernel patches while it runs; `types` are TYPES.

    Raises MissingType if there is such a table and its type is not known, CorruptState if its
    size makes no sense.
    """
    for start, end, name, member in _TABLES:
        first, last = map(target.symbol_address, (start, end))
        if first is None or last is None or first == last:
            continue
        if not 0 < last - first <= _MOST:
            raise CorruptState(f"the kernel's table of {name} has {last - first} bytes")
        yield from _sites(target, types, (first, last), name, member)


def _sites(
    target: Memory, types: Layouts, table: tuple[int, int], name: str, member: str
) -> Iterator[int]:
    """Yield the address in the `member` of each struct `name` of the `table`.

    A member of 4 bytes is relative to its own address.
    """
    first, last = table
    size, place = types.struct(name).size, types.member(name, member)
    data = target.read_memory(first, last - first)
    for at in range(place.offset, len(data) - size + place.offset + 1, size):
        value = int.from_bytes(data[at : at + place.size], "little", signed=True)
        yield (value + (first + at if place.size == 4 else 0)) % (1 << 64)
