# SPDX-License-Identifier: GPL-2.0-or-later
"""What forbids to divert functions, in kernels that have it and in kernels that have not."""

from __future__ import annotations

import pytest
from fake import FakeTarget
from fake_kernel import CPU_OFFSETS, World, layouts_44, struct

from gdbfpu.errors import CorruptState, MissingMember, MissingType
from gdbfpu.fast.patching import checks_calls, patch_sites, preempts
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts

MODE = 0xFFFFFFFF82000000
JUMPS, CALLS = 0xFFFFFFFF82400000, 0xFFFFFFFF82600000
SITE = 0xFFFFFFFF81001234
CET = 1 << 23  # arch/x86/include/uapi/asm/processor-flags.h: X86_CR4_CET_BIT 23

# include/linux/jump_label.h: relative since 4.19, addresses before; static_call_types.h
JUMP = struct("jump_entry", 16, ("code", 0, 4), ("target", 4, 4), ("key", 8, 8))
OLD_JUMP = struct("jump_entry", 24, ("code", 0, 8), ("target", 8, 8), ("key", 16, 8))
CALL = struct("static_call_site", 8, ("addr", 0, 4), ("key", 4, 4))


# --- preemption


def target_of(**symbols):
    target = FakeTarget()
    target.symbols.update(symbols)
    return target


def test_a_kernel_that_cannot_preempt():
    assert preempts(target_of()) is False
    assert preempts(target_of(preempt_dynamic_mode=MODE)) is False


def test_a_kernel_that_always_preempts():
    assert preempts(target_of(preempt_schedule=1)) is True


# kernel/sched/core.c: preempt_dynamic_undefined = -1, none, voluntary, full, lazy
@pytest.mark.parametrize(
    ("mode", "does"), [(-1, True), (0, False), (1, False), (2, True), (3, True)]
)
def test_a_kernel_that_can_do_both(mode, does):
    target = target_of(preempt_schedule=1, preempt_dynamic_mode=MODE)
    target.put_int(MODE, mode, 4)
    assert preempts(target) is does


# --- indirect calls


@pytest.mark.parametrize(("cr4", "does"), [(0, False), (CET, True), (~CET, False), (~0, True)])
def test_what_cr4_says(cr4, does):
    world = World()
    kernel = Kernel(world.target, layouts_44())
    types = Layouts([struct("tlb_state", 96, ("loaded_mm", 0, 8), ("cr4", 72, 8))])
    assert checks_calls(kernel, types) is False
    world.target.symbols["cpu_tlbstate"] = 0x9000
    world.target.put_int(CPU_OFFSETS[0] + 0x9000 + 72, cr4)
    assert checks_calls(kernel, types) is does
    assert checks_calls(kernel, Layouts([])) is False


# --- sites


def table(target, name, start, data):
    first, last = {
        "jump": ("__start___jump_table", "__stop___jump_table"),
        "call": ("__start_static_call_sites", "__stop_static_call_sites"),
    }[name]
    target.symbols[first], target.symbols[last] = start, start + len(data)
    target.put(start, data)


def relative(start, size, sites, at=0):
    """Entries of `size` bytes, each with a site relative to the member's own place."""
    data = b""
    for number, site in enumerate(sites):
        place = start + number * size + at
        word = (site - place).to_bytes(4, "little", signed=True)
        data += (b"\xa5" * at + word).ljust(size, b"\xa5")
    return data


@pytest.mark.parametrize("at", [0, 4, 12])
def test_relative_sites(at):
    target, sites = FakeTarget(), [SITE, 0xFFFFFFFF83000000, SITE + 5]
    kind = struct("jump_entry", 16, ("code", at, 4))
    table(target, "jump", JUMPS, relative(JUMPS, 16, sites, at))
    assert list(patch_sites(target, Layouts([kind]))) == sites


def test_sites_by_address():
    target, sites = FakeTarget(), [SITE, SITE + 7]
    data = b"".join(site.to_bytes(8, "little").ljust(24, b"\0") for site in sites)
    table(target, "jump", JUMPS, data)
    assert list(patch_sites(target, Layouts([OLD_JUMP]))) == sites


def test_both_tables():
    target = FakeTarget()
    table(target, "jump", JUMPS, relative(JUMPS, 16, [SITE]))
    table(target, "call", CALLS, relative(CALLS, 8, [SITE + 1, SITE + 2]))
    assert list(patch_sites(target, Layouts([JUMP, CALL]))) == [SITE, SITE + 1, SITE + 2]


def test_no_table_is_no_trouble():
    assert list(patch_sites(FakeTarget(), Layouts([]))) == []
    target = FakeTarget()
    table(target, "jump", JUMPS, b"")
    target.symbols["__start_static_call_sites"] = CALLS
    assert list(patch_sites(target, Layouts([]))) == []


def test_a_table_whose_type_is_not_known():
    target = FakeTarget()
    table(target, "jump", JUMPS, bytes(16))
    with pytest.raises(MissingType, match="jump_entry"):
        list(patch_sites(target, Layouts([CALL])))
    with pytest.raises(MissingMember, match="code"):
        list(patch_sites(target, Layouts([struct("jump_entry", 16, ("key", 8, 8))])))


def test_half_an_entry_is_left_out():
    target = FakeTarget()
    table(target, "jump", JUMPS, relative(JUMPS, 16, [SITE, SITE])[:-1])
    assert list(patch_sites(target, Layouts([JUMP]))) == [SITE]


@pytest.mark.parametrize("size", [-16, (1 << 20) + 16, 1 << 62])
def test_a_table_of_an_absurd_size(size):
    """To take it for no table would divert what the kernel patches."""
    target = FakeTarget()
    table(target, "call", CALLS, b"")
    target.symbols["__stop_static_call_sites"] += size
    with pytest.raises(CorruptState) as caught:
        list(patch_sites(target, Layouts([CALL])))
    assert str(caught.value) == f"the kernel's table of static_call_site has {size} bytes"


def test_a_table_that_is_just_good():
    target = FakeTarget()
    table(target, "call", CALLS, relative(CALLS, 8, [SITE]) * (1 << 17))
    assert len(list(patch_sites(target, Layouts([CALL])))) == 1 << 17
