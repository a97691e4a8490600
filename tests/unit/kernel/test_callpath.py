# SPDX-License-Identifier: GPL-2.0-or-later
"""Call paths end at the kernel's entry; what user space left behind it is not asked for."""

from __future__ import annotations

import pytest
from fake_kernel import World, layouts_44

from gdbfpu.errors import MissingType
from gdbfpu.kernel.callpath import CallPath, read_call_path
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import Frame

TEXT = 0xFFFFFFFF81000000
STACK = 0xFFFF880012344000  # the lowest byte of a stack of 16 KiB
REGISTERS = STACK + 0x4000 - 168  # where struct pt_regs of an entry from user space is
PATH = CallPath(0x4000, 168, (range(TEXT, TEXT + 0x600000), range(TEXT + 0x1000000, 1 << 64)))
MODULE = TEXT + 0x1F000000


def frame(name, sp, pc=TEXT + 0x1234):
    return Frame(name, pc, sp)


def names(*frames, depth=16, path=PATH):
    return path.names(iter(frames), depth)


def test_the_entrys_frame_is_the_last():
    """The entry code's stack pointer is that of the registers it saved; what follows is theirs."""
    deep, entry = frame("do_syscall_64", REGISTERS - 0x40), frame("entry_SYSCALL_64", REGISTERS)
    user = frame("whatever", REGISTERS + 8)
    assert names(deep, entry, user) == ("do_syscall_64", "entry_SYSCALL_64")


def test_no_frame_behind_the_entrys_is_unwound():
    def frames():
        yield frame("entry_SYSCALL_64", REGISTERS)
        raise AssertionError("user space chose where to read")

    assert PATH.names(frames(), 16) == ("entry_SYSCALL_64",)


def test_no_frame_beyond_the_depth_is_unwound():
    def frames():
        yield frame("one", STACK + 0x3000)
        raise AssertionError("one caller was asked for")

    assert PATH.names(frames(), 1) == ("one",)
    assert PATH.names(frames(), 0) == ()


@pytest.mark.parametrize("sp", [REGISTERS + 8, STACK + 0x3FF8, STACK + 0x3FFF])
def test_a_frame_in_the_users_registers_is_none(sp):
    assert names(frame("do_syscall_64", STACK + 0x3000), frame("user's", sp)) == ("do_syscall_64",)


@pytest.mark.parametrize(
    "pc", [0, 0x401318, 0x1313131313131313, 0xFFFFFFFF00FFFFFF, TEXT - 1, TEXT + 0x600000]
)
def test_a_frame_outside_of_the_kernels_code_is_none(pc):
    frames = frame("one", STACK + 0x3000), frame("r12", STACK + 0x3100, pc), frame("two", STACK)
    assert names(*frames) == ("one",)


def test_modules_are_code():
    assert names(frame("[module]", STACK + 0x3000, MODULE)) == ("[module]",)


def test_a_path_over_two_stacks_goes_on():
    interrupt = frame("__do_softirq", STACK + 0x8000 + 0x3000)
    assert names(interrupt, frame("do_softirq", STACK + 0x3000)) == ("__do_softirq", "do_softirq")


def test_nothing_known_ends_no_path():
    frames = frame("one", REGISTERS + 8), frame("two", REGISTERS + 16, 0x401000)
    assert names(*frames, path=CallPath(0, 168, ())) == ("one", "two")


def kernel(symbols, sizes=()):
    world = World()
    world.target.symbols |= symbols
    world.target.sizes |= dict(sizes)
    return Kernel(world.target, layouts_44())


def test_read_from_the_kernels_own_symbols():
    symbols = {"_stext": TEXT, "_etext": TEXT + 0x600000, "_end": TEXT + 0x1000000}
    found = read_call_path(kernel(symbols, [("init_thread_union", 0x4000)]))
    assert found == PATH
    init = {"_sinittext": TEXT + 0x800000, "_einittext": TEXT + 0x900000}
    found = read_call_path(kernel({**symbols, **init}, [("init_stack", 0x8000)]))
    assert found.stack_size == 0x8000
    assert range(TEXT + 0x800000, TEXT + 0x900000) in found.text


def test_what_is_free_above_the_users_registers_counts_too():
    """CONFIG_X86_FRED leaves 16 bytes free there; the first task's stack tells."""
    top = {"__top_init_kernel_stack": STACK + 0x4000 - 184, "__end_init_stack": STACK + 0x4000}
    assert read_call_path(kernel(top)).user_registers == 184


def test_without_symbols_nothing_is_known():
    assert read_call_path(kernel({})) == CallPath(0, 168, ())


def test_without_the_type_it_is_named():
    with pytest.raises(MissingType, match="pt_regs"):
        read_call_path(Kernel(World().target, layouts_44(without=("pt_regs",))))
