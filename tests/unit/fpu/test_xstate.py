# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels before 4.2 and after 6.15, and what the kernel's own tables say of places."""

from __future__ import annotations

import pytest
from audit_machines import M510
from fake_kernel import (
    COMMON,
    INIT_LEGACY,
    PF_KTHREAD,
    SYMBOLS,
    TASK_BYTES,
    World,
    struct,
    task_struct,
)

from gdbfpu.errors import CorruptState, MemoryFault
from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts
from gdbfpu.xsave.area import Span

FPU = 1792
COMPACTED = 1 << 63
EVERY = (1 << 64) - 1
ELSEWHERE = 0xFFFFC90000001000


def header(xfeatures, xcomp_bv=0):
    return xfeatures.to_bytes(8, "little") + xcomp_bv.to_bytes(8, "little").ljust(56, b"\0")


def world_of(**symbols):
    """A kernel with the global u64s `symbols` in place of 4.4's."""
    world = World()
    world.add(0, flags=PF_KTHREAD)
    world.target.sizes.clear()
    for name in ("xfeatures_mask", "xstate_size", "init_fpstate", "xstate_offsets", "xstate_sizes"):
        del world.target.symbols[name]
    for i, (name, value) in enumerate(symbols.items()):
        address = world.target.symbols[name] = 0xFFFFFFFF84000000 + 0x1000 * i
        world.target.put_int(address, value)
    return world


def table(world, name, values, address=0xFFFFFFFF86000000):
    """Put the u32s `values` as the kernel's array `name`."""
    address += 0x1000 * len(world.target.sizes)
    world.target.put(address, b"".join(value.to_bytes(4, "little") for value in values))
    world.target.symbols[name] = address
    world.target.sizes[name] = 4 * len(values)


# --- 3.10: struct fpu { last_cpu; has_fpu; union thread_xstate *state; }, task_struct.fpu_counter

LAYOUTS_310 = Layouts(
    [
        task_struct(("fpu_counter", 30, 1)),
        *COMMON,
        struct("fpu", 16, ("last_cpu", 0, 4), ("has_fpu", 4, 4), ("state", 8, 8, "x", True)),
        struct("cpuinfo_x86", 200, ("x86_capability", 12, 40)),
    ]
)


@pytest.fixture
def world_310():
    world = world_of(pcntxt_mask=7, xstate_size=832, init_xstate_buf=ELSEWHERE + 0x4000)
    world.target.put(ELSEWHERE + 0x4000, INIT_LEGACY + header(0) + bytes(256))
    return world


def model_310(world):
    return fpu.probe(Kernel(world.target, LAYOUTS_310))


@pytest.mark.parametrize("has_fpu", [0, 1])
def test_3_10(world_310, has_fpu):
    task = world_310.add(5)
    world_310.target.put_int(task + FPU + 4, has_fpu, 4)
    world_310.target.put_int(task + FPU + 8, ELSEWHERE)
    world_310.target.put(ELSEWHERE, INIT_LEGACY + header(5) + bytes(256))
    model = model_310(world_310)
    assert (model.variant, model.switching, model.format) == (
        "thread.fpu.state",
        "lazy",
        "standard",
    )
    assert (model.xstate.mask, model.xstate.size) == (7, 832)
    assert model.xstate.init == INIT_LEGACY + header(0) + bytes(256)
    assert model.image_address(task + FPU) == ELSEWHERE
    assert model.header(task + FPU) == (5, 0)
    assert model.live(task) is bool(has_fpu)
    assert model.state_there(task) == (True, "thread.fpu.state")


def test_task_of_3_10_that_never_used_the_fpu(world_310):
    task = world_310.add(5)
    world_310.target.put_int(task + FPU + 8, 0)
    for switching in ("lazy", "eager"):
        model = model_310(world_310)
        assert model.switching == switching
        assert model.image_address(task + FPU) == 0
        assert model.image(task + FPU) == b""
        there = (False, "thread.fpu.state") if switching == "lazy" else (True, "eager switching")
        assert model.state_there(task) == there
        assert Looks(model).memory(model.kernel.task(task)) is None
        world_310.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)


def test_tables_of_3_10_are_pointers(world_310):
    """`static unsigned int *xstate_offsets, *xstate_sizes, xstate_features`."""
    for i, (name, value) in enumerate((("xstate_offsets", 640), ("xstate_sizes", 128))):
        data = ELSEWHERE + 0x8000 + 0x1000 * i
        world_310.target.put(data, bytes(8) + value.to_bytes(4, "little"))
        table(world_310, name, (data & 0xFFFFFFFF, data >> 32))
    world_310.target.symbols["xstate_features"] = 0xFFFFFFFF87000000
    world_310.target.put_int(0xFFFFFFFF87000000, 3, 4)
    assert model_310(world_310).xstate.spans[2] == Span(2, 640, 128)


def test_kernel_of_3_10_without_its_initial_state(world_310):
    world_310.target.put_int(world_310.target.symbols["init_xstate_buf"], 0)
    assert model_310(world_310).xstate.init == b""


# --- 6.16: struct fpu behind task_struct


def layouts_616(thread_info=0):
    return Layouts(
        [
            task_struct(("thread_info", thread_info, 16, "thread_info")),
            *COMMON[:2],
            struct("thread_struct", 4096, ("sp", 24, 8)),
            struct("thread_info", 16, ("status", 0, 4), ("flags", 8, 8)),
            struct("fpu", 64, ("last_cpu", 0, 4), ("fpstate", 24, 8, "fpstate", True)),
            struct("fpstate", 3840, ("size", 0, 4), ("regs", 64, 3776)),
        ]
    )


@pytest.fixture
def world_616():
    world = world_of(xfeatures_mask_all=7, fpu_kernel_xstate_size=832)
    world.target.symbols["init_fpstate"] = ELSEWHERE + 0x4000
    world.target.put(ELSEWHERE + 0x4000, bytes(64) + INIT_LEGACY + header(0) + bytes(256))
    return world


def add_616(world, pid, size=832, flags=0, **options):
    task = world.add(pid, **options)
    world.target.put_int(task + 128 + 8, flags)  # thread_info at 128
    place = ELSEWHERE + 0x10000 * pid
    world.target.put(task + TASK_BYTES, bytes(64))
    world.target.put_int(task + TASK_BYTES + 24, place)
    image = (INIT_LEGACY + header(3)).ljust(size, b"\0")
    world.target.put(place, size.to_bytes(4, "little") + bytes(60) + image)
    return task


def model_616(world):
    return fpu.probe(Kernel(world.target, layouts_616(thread_info=128)))


def test_6_16(world_616):
    task = add_616(world_616, 5)
    model = model_616(world_616)
    assert (model.variant, model.switching) == ("x86_task_fpu().fpstate", "eager")
    assert model.fpu_of(task) == task + TASK_BYTES
    assert model.task_of(task + TASK_BYTES) == task
    assert model.image_address(model.fpu_of(task)) == ELSEWHERE + 0x50000 + 64
    assert model.header(model.fpu_of(task)) == (3, 0)
    assert model.xstate.init == INIT_LEGACY + header(0) + bytes(256)


@pytest.mark.parametrize("size", [512, 840, 65536])
def test_an_image_has_the_size_that_its_fpstate_says(world_616, size):
    task = add_616(world_616, 5, size)
    assert len(model_616(world_616).image(task + TASK_BYTES)) == size


@pytest.mark.parametrize("size", [0, 511, 65537])
def test_absurd_size_is_refused(world_616, size):
    task = add_616(world_616, 5, size)
    with pytest.raises(CorruptState, match=f"claims {size} bytes"):
        model_616(world_616).image(task + TASK_BYTES)


OLD, NEW = 1 << 14, 1 << 19  # TIF_NEED_FPU_LOAD from 5.2, from 6.18


@pytest.mark.parametrize(
    ("sleeping", "bit"),
    [
        ([NEW], 19),
        ([OLD], 14),
        ([NEW | OLD, NEW], 19),
        ([NEW | OLD, OLD], 14),
        ([NEW | OLD], 14),  # they do not tell: the older
        ([0], 14),
        ([], 14),
        ([NEW] * 8 + [0], 19),  # eight are asked
        ([NEW] * 7 + [0], 14),
    ],
)
def test_bit_is_what_sleeping_tasks_have(world_616, sleeping, bit):
    for pid, flags in enumerate(sleeping, 10):
        add_616(world_616, pid, flags=flags | 1 << 3)
    assert model_616(world_616).tif == bit


def test_running_tasks_and_kernel_threads_are_not_asked(world_616):
    world_616.run(add_616(world_616, 5, flags=OLD), 1)
    add_616(world_616, 6, flags=OLD, comm=b"kthread")
    world_616.target.put_int(world_616.groups[-1][0] + 20, PF_KTHREAD, 4)
    task = add_616(world_616, 7, flags=NEW)
    model = model_616(world_616)
    assert model.tif == 19
    assert model.live(task) is False
    world_616.target.put_int(task + 128 + 8, EVERY & ~NEW)
    assert model.live(task) is True


# --- the kernel's tables


@pytest.mark.parametrize(
    ("flags", "place"), [((0,) * 18, 840), ((0,) * 17 + (2,), 896), ((1,) * 18, 840), (None, 896)]
)
def test_alignment_in_the_compacted_format_is_the_kernels(world_616, flags, place):
    """Behind PKRU, at 576 + 256 + 8: TILECFG, which the architecture aligns to 64 bytes."""
    mask = 1 << 17 | 0x207
    world_616.target.put_int(world_616.target.symbols["xfeatures_mask_all"], mask)
    world_616.target.put_int(world_616.target.symbols["fpu_kernel_xstate_size"], 960)
    image = INIT_LEGACY + header(0, COMPACTED | mask) + bytes(960 - 576)
    world_616.target.symbols["init_fpstate"] = ELSEWHERE + 0x2000000
    world_616.target.put(ELSEWHERE + 0x2000000, bytes(64) + image)
    if flags:
        table(world_616, "xstate_flags", flags)
    model = model_616(world_616)
    assert model.format == "compacted"
    assert model.xstate.spans[-1] == Span(17, place, 64)
    in_use = INIT_LEGACY + header(mask, COMPACTED | mask) + image[576:]
    for pid, at, used in ((5, place, 1 << 17), (6, place - 1, 0)):
        task = add_616(world_616, pid, 960)
        changed = in_use[:at] + b"\x01" + in_use[at + 1 :]
        world_616.target.put(ELSEWHERE + 0x10000 * pid + 64, changed)
        assert Looks(model).memory(model.kernel.task(task)).used == used


def test_tables_are_read_up_to_64_entries(world_616):
    table(world_616, "xstate_sizes", (0,) * 64)
    model_616(world_616)
    world_616.target.sizes["xstate_sizes"] = 4 * 65
    model_616(world_616)
    world_616.target.sizes["xstate_sizes"] = 4 * 63
    world_616.target.ranges[world_616.target.symbols["xstate_sizes"]] = bytearray(4 * 62)
    with pytest.raises(MemoryFault):
        model_616(world_616)


# --- what user space gets


def test_images_of_user_space_before_4_8_are_the_kernels(world_310):
    xstate = model_310(world_310).xstate
    assert (xstate.user_size, xstate.user_mask) == (832, 7)
    assert xstate.init_address == ELSEWHERE + 0x4000


def test_images_of_user_space_since_4_8():
    """fpu_user_xstate_size; supervisor components are not in them."""
    world = world_of(
        xfeatures_mask_all=0x1FF07 | 1 << 16, fpu_kernel_xstate_size=832, fpu_user_xstate_size=2696
    )
    world.target.symbols["init_fpstate"] = ELSEWHERE + 0x4000
    world.target.put(ELSEWHERE + 0x4000, bytes(64) + INIT_LEGACY + header(0) + bytes(256))
    xstate = model_616(world).xstate
    assert (xstate.size, xstate.user_size) == (832, 2696)
    assert xstate.user_mask == 0x207
    assert xstate.init_address == ELSEWHERE + 0x4000 + 64


def test_images_of_user_space_since_5_16(world_616):
    """fpu_user_cfg's default, not its maximum; it goes before fpu_user_xstate_size."""
    config = struct(
        "fpu_state_config",
        40,
        ("max_size", 0, 4),
        ("default_size", 4, 4),
        ("max_features", 8, 8),
        ("default_features", 16, 8),
    )
    whole = layouts_616(thread_info=128)
    layouts = Layouts([*(whole.struct(name) for name in whole.names()), config])
    place = world_616.target.symbols["fpu_user_cfg"] = ELSEWHERE + 0x9000
    world_616.target.symbols["fpu_user_xstate_size"] = ELSEWHERE + 0xA000
    world_616.target.put_int(ELSEWHERE + 0xA000, 1, 4)
    words = ((11008, 4), (2696, 4), (0x60207, 8), (0x20207, 8))
    world_616.target.put(place, b"".join(value.to_bytes(size, "little") for value, size in words))
    xstate = fpu.probe(Kernel(world_616.target, layouts)).xstate
    assert (xstate.user_size, xstate.user_mask) == (2696, 0x20207)


def test_a_kernel_without_an_initial_image_has_no_address_of_it(world_310):
    world_310.target.put_int(world_310.target.symbols["init_xstate_buf"], 0)
    assert model_310(world_310).xstate.init_address == 0


@pytest.mark.parametrize(
    ("vendor", "mask", "pkru"),
    [(0, 0x207, 2688), (2, 0x207, 832), (9, 0x207, 832), (2, 0x2E7, 2432), (0, 0x2E7, 2688)],
)
def test_without_tables_places_are_those_of_the_vendor(vendor, mask, pkru):
    """X86_VENDOR_INTEL, AMD, HYGON; PKRU's offset is CPUID.(0xD,9):EBX of such CPUs."""
    m = M510()
    m.put("xfeatures_mask_all", mask)
    m.target.put_int(SYMBOLS["boot_cpu_data"] + 1, vendor, 1)
    spans = m.snapshot().model.xstate.spans
    assert {span.number: span.offset for span in spans}[9] == pkru
