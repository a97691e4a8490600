# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the recorder reads, for the kernels' variants; all numbers are written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_kernel import (
    COMM,
    CPU_OFFSETS,
    FLAGS,
    FPU,
    PID,
    TGID,
    World,
    layouts_44,
    struct,
    task_struct,
)

from gdbfpu.errors import MissingMember, MissingSymbol
from gdbfpu.fast.assembler import Memory
from gdbfpu.fast.places import Header, read_places
from gdbfpu.fpu import model as fpu
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts, Member

XSAVE_HEADER = 512  # Intel SDM volume 1, 13.4.2


@pytest.fixture
def world():
    world = World()
    world.target.symbols["cpu_number"] = 0xB000
    return world


def model_of(world, **changed):
    """The model of 4.4, with some of its fields or of its XstateConfig's changed."""
    model = fpu.probe(Kernel(world.target, layouts_44()))
    xstate = {name: changed.pop(name) for name in ("switching", "format") if name in changed}
    return replace(model, xstate=replace(model.xstate, **xstate), **changed)


def test_linux_4_4(world):
    places = read_places(model_of(world, switching="lazy"))
    assert (places.current, places.cpu) == (
        Memory(disp=0xC000, gs=True),
        Memory(disp=0xB000, gs=True),
    )
    assert (places.pid, places.tgid, places.comm, places.flags) == (PID, TGID, COMM, FLAGS)
    assert places.fpu_offset == FPU
    assert places.header == Header(FPU + 64 + XSAVE_HEADER)
    assert (places.live, places.live_if) == ((FPU + 5, 1, None), True)
    assert places.active == (FPU + 4, 1)


def test_an_eager_kernel_has_a_state_for_each_task(world):
    assert read_places(model_of(world, switching="eager")).active is None


def test_without_xsave(world):
    assert read_places(model_of(world, format="fxsave")).header is None


def test_up_to_4_1_the_pointer_says_whether_there_is_a_state(world):
    flags = {"has_fpu": Member("has_fpu", 4, 4)}
    state = Member("state", 8, 8, "x", True)
    places = read_places(model_of(world, switching="lazy", state=state, flags=flags, regs_offset=0))
    assert places.header == Header(XSAVE_HEADER, (FPU + 8,))
    assert (places.live, places.live_if) == ((FPU + 4, 4, None), True)
    assert places.active == (FPU + 8, 8)


def test_since_5_16_the_task_s_own_state_goes_before_a_guest_s(world):
    members = {"state": Member("fpstate", 8, 8, "fpstate", True)}
    members["host"] = Member("__task_fpstate", 16, 8, "fpstate", True)
    places = read_places(model_of(world, regs_offset=64, **members))
    assert places.header == Header(64 + XSAVE_HEADER, (FPU + 16, FPU + 8))


def test_since_5_2_a_thread_flag_says_that_registers_are_not_live(world):
    own = task_struct(("thread_info", 48, 16, "thread_info"))
    info = struct("thread_info", 16, ("flags", 8, 8))
    model = model_of(world, flags={}, tif=14)
    kernel = Kernel(world.target, Layouts([own, info]))
    places = read_places(replace(model, kernel=kernel))
    assert (places.live, places.live_if) == ((56, 4, 14), False)


def test_per_cpu_variables_that_are_at_ordinary_addresses(world):
    """Since 6.15; gs_base is then the distance of a CPU's copy, which may be below 0."""
    symbols = world.target.symbols
    symbols["current_task"], symbols["cpu_number"] = 0xFFFFFFFF82A00010, 0xFFFFFFFF82A00008
    places = read_places(model_of(world))
    assert places.current == Memory(disp=0xFFFFFFFF82A00010 - (1 << 64), gs=True)
    assert places.cpu == Memory(disp=0xFFFFFFFF82A00008 - (1 << 64), gs=True)


def test_one_cpu(world):
    """Without CONFIG_SMP these are ordinary variables."""
    symbols = world.target.symbols
    del symbols["__per_cpu_offset"]
    symbols["current_task"] = 0xFFFFFFFF82A00010
    places = read_places(model_of(world))
    assert places.current == Memory(disp=0xFFFFFFFF82A00010 - (1 << 64))
    assert places.cpu is None


def test_the_first_cpu_s_offset_does_not_count(world):
    assert CPU_OFFSETS[0] != 0
    places = read_places(model_of(world))
    assert places.current.disp == world.target.symbols["current_task"]


def test_what_is_missing_is_named(world):
    del world.target.symbols["cpu_number"]
    with pytest.raises(MissingSymbol, match="cpu_number"):
        read_places(model_of(world))
    model = model_of(world, flags={})  # 4.4's task_struct has no thread_info
    world.target.symbols["cpu_number"] = 0xB000
    with pytest.raises(MissingMember, match="thread_info"):
        read_places(model)
