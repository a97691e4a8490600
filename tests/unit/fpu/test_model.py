# SPDX-License-Identifier: GPL-2.0-or-later
"""struct fpu in its variants: 4.4 as recorded, 4.14, 5.10 and 5.16 with layouts by hand."""

from __future__ import annotations

import pytest
from fake_kernel import (
    COMMON,
    CPU_OFFSETS,
    FPU,
    FPU_44,
    GOLDEN,
    INIT_LEGACY,
    PF_KTHREAD,
    SYMBOLS,
    World,
    golden_world,
    layouts_44,
    struct,
    task_struct,
)

from gdbfpu.errors import CorruptState, MemoryFault, MissingMember, MissingSymbol, MissingType
from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts
from gdbfpu.xsave.area import Span

X87, SSE, AVX = 1, 2, 4
HITS = GOLDEN["hits"]
ACTIVE, REGS_ACTIVE, STATE = FPU + 4, FPU + 5, FPU + 64  # offsets of 4.4 from a task_struct


def model_of(world, layouts=None):
    return fpu.probe(Kernel(world.target, layouts or layouts_44()))


def header(xfeatures, xcomp_bv=0):
    return xfeatures.to_bytes(8, "little") + xcomp_bv.to_bytes(8, "little").ljust(56, b"\0")


@pytest.fixture
def world():
    world = World()
    world.add(0, b"swapper/0", flags=PF_KTHREAD)
    return world


# --- 4.4.60 as recorded


@pytest.mark.parametrize("hit", HITS, ids=lambda hit: f"{hit['comm']}-{hit['function'][:4]}")
def test_recorded_hit(hit):
    world, task = golden_world(hit)
    model = model_of(world)
    address, recorded = int(hit["fpu_address"], 16), bytes.fromhex(hit["fpu_bytes"])
    assert model.fpu_of(task) == address
    assert model.task_of(address) == task
    assert model.image_address(address) == address + 64
    assert model.image(address) == recorded[64:]
    expected = (hit["header"]["xfeatures"], hit["header"]["xcomp_bv"])
    assert model.header(address) == expected
    assert model.header(address, recorded[64:]) == expected
    assert model.live(task) is bool(hit["fpu"]["fpregs_active"])
    assert model.state_there(task) == (True, "fpstate_active")


LOADED = {"x87calc": X87, "mmxplay": X87, "Xorg": SSE | AVX, "audiod": SSE}
"""The components that each program loads, as the recording's `programs` documents."""


@pytest.mark.parametrize("comm", LOADED)
def test_recorded_states_differ_where_the_programs_loaded_them(comm):
    saved = [hit for hit in HITS if hit["comm"] == comm and hit["header"]["xfeatures"] == 7]
    assert len(saved) >= 2
    for hit in saved:
        world, task = golden_world(hit)
        model = model_of(world)
        seen = Looks(model).memory(model.kernel.task(task))
        assert seen.used & LOADED[comm]
        clean_x87 = hit["fxsave"]["cwd"] == 0x37F and hit["fxsave"]["twd"] == 0
        assert bool(seen.used & X87) is not clean_x87


def test_recorded_machine():
    model = model_of(golden_world(HITS[0])[0])
    assert model.variant == "thread.fpu.state"
    assert (model.switching, model.format) == ("lazy", "standard")
    assert (model.xstate.mask, model.xstate.size) == (7, 832)
    assert model.xstate.spans == (Span(0, 0, 160), Span(1, 160, 256), Span(2, 576, 256))
    assert model.xstate.init == INIT_LEGACY + bytes(320)


def test_no_read_is_made_but_of_the_header():
    world, task = golden_world(HITS[0])
    model = model_of(world)
    world.target.reads.clear()
    model.header(model.fpu_of(task))
    ((address, length),) = world.target.reads
    assert address == task + STATE + 512
    assert 16 <= length <= 64
    world.target.reads.clear()
    model.header(model.fpu_of(task), bytes(576))
    assert world.target.reads == []


# --- whether there is a state


@pytest.mark.parametrize("active", [0, 1])
def test_lazy_switching_goes_by_fpstate_active_alone(world, active):
    task = world.add(5, b"task")
    world.target.put_int(task + ACTIVE, active, 1)
    world.target.put_int(task + REGS_ACTIVE, 1 - active, 1)
    model = model_of(world)
    assert model.state_there(task) == (bool(active), "fpstate_active")
    assert model.live(task) is not bool(active)


def test_under_eager_switching_every_task_has_one(world):
    # X86_FEATURE_EAGER_FPU is ( 3*32+29): arch/x86/include/asm/cpufeature.h, 3.7 to 4.8
    world.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)
    assert model_of(world).state_there(world.add(5)) == (True, "eager switching")


@pytest.mark.parametrize(("value", "failed"), [(0, False), (1 << 32, False), (1, True)])
def test_a_frame_that_could_not_be_saved(world, value, failed):
    world.target.registers["rax"] = value
    assert model_of(world).save_failed() is failed


@pytest.mark.parametrize(("word", "bit"), [(3, 28), (3, 30), (2, 29), (4, 29)])
def test_other_capabilities_do_not_make_it_eager(world, word, bit):
    world.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * word, 1 << bit, 4)
    assert model_of(world).switching == "lazy"


def test_kernel_without_a_counter_is_eager(world):
    """4.4.178 and 4.9: the member is gone, and lazy switching with it."""
    bare = struct("fpu", 3904, *((m.name, m.offset, m.size) for m in FPU_44[0].members if
                                 m.name != "counter"))  # fmt: skip
    del world.target.symbols["boot_cpu_data"]
    model = model_of(world, Layouts([task_struct(), *COMMON, bare]))
    assert model.switching == "eager"


# --- formats


def test_fxsave_only(world):
    world.target.put_int(SYMBOLS["xfeatures_mask"], 0)
    world.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    task = world.add(5)
    model = model_of(world)
    assert (model.format, model.xstate.size, model.xstate.mask) == ("fxsave", 512, 0)
    assert model.xstate.spans == (Span(0, 0, 160), Span(1, 160, 256))
    image = model.image(task + FPU)
    assert len(image) == 512
    world.target.reads.clear()
    assert model.header(task + FPU) == (3, 0)
    assert model.header(task + FPU, image) == (3, 0)
    assert world.target.reads == []
    for offset, value, used in ((0, b"\x7f\x03", 0), (0, b"\x7f\x02", X87), (300, b"\x01", SSE)):
        world.target.put(task + FPU + 64, INIT_LEGACY)
        world.target.put(task + FPU + 64 + offset, value)
        assert Looks(model).memory(model.kernel.task(task)).used == used


COMPACTED = 1 << 63


def compacted_world():
    """x87, SSE, AVX and PKRU, compacted as SDM volume 1, 13.4.3 has it: PKRU at 576 + 256."""
    world = World()
    world.add(0, flags=PF_KTHREAD)
    world.target.put_int(SYMBOLS["xfeatures_mask"], 0x207)
    world.target.put_int(SYMBOLS["xstate_size"], 840, 4)
    world.target.put(SYMBOLS["init_fpstate"] + 512, header(0, COMPACTED | 0x207))
    world.target.put(SYMBOLS["init_fpstate"] + 832, b"\x54\x55\x55\x55")
    return world


def compacted_image(xcomp_bv, extended):
    return INIT_LEGACY + header(0x207, xcomp_bv) + extended


def test_compacted():
    world = compacted_world()
    model = model_of(world)
    assert model.format == "compacted"
    assert model.xstate.spans[2:] == (Span(2, 576, 256), Span(9, 832, 8))
    both, alone = COMPACTED | 0x207, COMPACTED | 0x203
    default, other = b"\x54\x55\x55\x55".ljust(8, b"\0"), b"\x05".ljust(8, b"\0")
    task = world.add(5)
    for image, used in (
        (compacted_image(both, bytes(256) + default), 0),
        (compacted_image(both, bytes(256) + other), 0),  # PKRU is no register of the FPU
        (compacted_image(both, b"\x01" + bytes(255) + default), AVX),
        # without AVX in it, PKRU follows the header: the image, not the kernel, says where
        (compacted_image(alone, other + bytes(256)), 0),
    ):
        world.target.put(task + FPU + 64, image)
        assert Looks(model).memory(model.kernel.task(task)).used == used


def test_standard_offsets_are_the_kernels_own(world):
    for name, value in (("xstate_offsets", 2432), ("xstate_sizes", 8)):
        world.target.put_int(SYMBOLS[name] + 4 * 9, value, 4)
    world.target.put_int(SYMBOLS["xfeatures_mask"], 0x207)
    world.target.put_int(SYMBOLS["xstate_size"], 2440, 4)
    assert model_of(world).xstate.spans[-1] == Span(9, 2432, 8)  # AMD's place for PKRU
    world.target.sizes.clear()  # tables of unknown length: the architecture's places
    assert model_of(world).xstate.spans[-1] == Span(9, 2688, 8)


def test_tables_are_believed_up_to_64_entries(world):
    world.target.sizes["xstate_sizes"] = 1 << 20
    with pytest.raises(MemoryFault) as caught:
        model_of(world)
    assert caught.value.length == 4 * 64


@pytest.mark.parametrize("size", [0, 511, (64 << 10) + 1, 0xFFFFFFFF])
def test_absurd_size(world, size):
    world.target.put_int(SYMBOLS["xstate_size"], size, 4)
    with pytest.raises(CorruptState, match=f"is {size} bytes"):
        model_of(world)


@pytest.mark.parametrize("size", [512, 64 << 10])
def test_sizes_at_the_limits(world, size):
    world.target.put_int(SYMBOLS["xstate_size"], size, 4)
    world.target.symbols["init_fpstate"] = 0xFFFFFFFF83000000
    world.target.put(0xFFFFFFFF83000000, bytes(size))
    assert model_of(world).xstate.size == size


def test_kernel_without_init_fpstate(world):
    del world.target.symbols["init_fpstate"]
    model = model_of(world)
    assert (model.xstate.init, model.format) == (b"", "standard")
    task = world.add(5)
    for last, used in ((b"\0", 0), (b"\x01", AVX)):
        world.target.put(task + FPU + 64, INIT_LEGACY + header(7) + bytes(255) + last)
        assert Looks(model).memory(model.kernel.task(task)).used == used


# --- 4.14, 5.10, 5.16


def newer_world(**globals_):
    """A kernel that switches eagerly, with `globals_` (name to value and size)."""
    world = World()
    world.add(0, flags=PF_KTHREAD)
    for name in ("xfeatures_mask", "xstate_size", "boot_cpu_data"):
        del world.target.symbols[name]
    world.target.sizes.clear()  # the tables of 4.4 know of x87, SSE and AVX only
    for i, (name, (value, size)) in enumerate(globals_.items()):
        world.target.symbols[name] = 0xFFFFFFFF84000000 + 0x1000 * i
        world.target.put_int(world.target.symbols[name], value, size)
    return world


@pytest.mark.parametrize("initialized", [0, 1])
def test_initialized_of_4_14(initialized):
    world = newer_world(xfeatures_mask=(7, 8), fpu_kernel_xstate_size=(832, 4))
    members = struct("fpu", 3904, ("last_cpu", 0, 4), ("initialized", 4, 1), ("state", 64, 3840))
    task = world.add(5)
    world.target.put(task + FPU, bytes([255, 255, 255, 255, initialized, 255, 255]))
    model = model_of(world, Layouts([task_struct(), *COMMON, members]))
    assert (model.switching, model.xstate.size) == ("eager", 832)
    assert model.live(task) is bool(initialized)
    assert model.header(task + FPU) == (0, 0)


LAYOUTS_510 = Layouts(
    [
        task_struct(("thread_info", 0, 16, "thread_info")),
        *COMMON,
        struct("thread_info", 16, ("flags", 0, 8), ("status", 8, 4)),
        struct("fpu", 3904, ("last_cpu", 0, 4), ("avx512_timestamp", 8, 8), ("state", 64, 3840)),
    ]
)
# arch/x86/include/asm/thread_info.h, 5.10 and 6.18
TIF_NEED_FPU_LOAD, TIF_NEED_FPU_LOAD_618 = 1 << 14, 1 << 19
EVERY = (1 << 64) - 1


@pytest.mark.parametrize("bit", [TIF_NEED_FPU_LOAD, TIF_NEED_FPU_LOAD_618])
@pytest.mark.parametrize("other", [0, EVERY])
@pytest.mark.parametrize("live", [True, False])
def test_thread_flag_is_what_all_sleeping_tasks_have(bit, other, live):
    """The flag's place is in no type: tasks that do not run have it, whatever else they have."""
    world = newer_world(xfeatures_mask_all=(0x21F, 8), fpu_kernel_xstate_size=(2696, 4))
    task = world.add(5)
    world.run(task)
    world.target.put_int(task, (other & ~bit) if live else (other | bit))
    for pid, noise in ((6, 0), (7, EVERY & ~TIF_NEED_FPU_LOAD & ~TIF_NEED_FPU_LOAD_618)):
        world.target.put_int(world.add(pid), bit | noise)
    world.target.put_int(world.add(8, flags=PF_KTHREAD), 0)
    assert model_of(world, LAYOUTS_510).live(task) is live


@pytest.mark.parametrize(
    ("flags", "live"),
    [
        (0, True),
        (TIF_NEED_FPU_LOAD, False),
        (EVERY, False),
        (EVERY - TIF_NEED_FPU_LOAD, True),
        (TIF_NEED_FPU_LOAD >> 1, True),
        (TIF_NEED_FPU_LOAD << 1, True),
    ],
)
def test_thread_flag_of_5_10(flags, live):
    world = newer_world(xfeatures_mask_all=(0x21F, 8), fpu_kernel_xstate_size=(2696, 4))
    task = world.add(5)
    world.run(task)
    world.target.put_int(task, flags)
    model = model_of(world, LAYOUTS_510)
    assert (model.variant, model.switching, model.format) == (
        "thread.fpu.state",
        "eager",
        "standard",
    )
    assert (model.xstate.mask, model.xstate.size) == (0x21F, 2696)
    assert [span.number for span in model.xstate.spans] == [0, 1, 2, 3, 4, 9]
    assert model.live(task) is live


def test_newest_of_two_globals_counts():
    world = newer_world(
        xfeatures_mask=(3, 8),
        xfeatures_mask_all=(7, 8),
        xstate_size=(512, 4),
        fpu_kernel_xstate_size=(832, 4),
    )
    model = model_of(world, LAYOUTS_510)
    assert (model.xstate.mask, model.xstate.size) == (7, 832)


LAYOUTS_516 = Layouts(
    [
        task_struct(("thread_info", 0, 16, "thread_info")),
        *COMMON,
        struct("thread_info", 16, ("flags", 0, 8)),
        struct(
            "fpu",
            3904,
            ("last_cpu", 0, 4),
            ("fpstate", 24, 8, "fpstate", True),
            ("__task_fpstate", 32, 8, "fpstate", True),
            ("__fpstate", 64, 3840, "fpstate"),
        ),
        struct("fpstate", 3840, ("size", 0, 4), ("xfeatures", 8, 8), ("regs", 64, 3776)),
        struct(
            "fpu_state_config",
            40,
            ("max_size", 0, 4),
            ("default_size", 4, 4),
            ("max_features", 8, 8),
            ("default_features", 16, 8),
        ),
    ]
)


@pytest.fixture
def world_516():
    world = newer_world(fpu_kernel_cfg=(0, 40), xfeatures_mask=(1, 8), xstate_size=(600, 4))
    config = world.target.symbols["fpu_kernel_cfg"]
    for offset, value, size in ((0, 11008, 4), (4, 840, 4), (8, 0x207, 8), (16, 0x7, 8)):
        world.target.put_int(config + offset, value, size)
    world.target.symbols["init_fpstate"] = 0xFFFFFFFF85000000
    world.target.put(
        0xFFFFFFFF85000000,
        b"\xaa" * 64 + INIT_LEGACY + header(0, COMPACTED | 0x207) + bytes(256 + 8),
    )
    return world


def test_fpstate_pointer_of_5_16(world_516):
    task, elsewhere = world_516.add(5), 0xFFFFC90000001000
    world_516.target.put_int(task + FPU + 24, elsewhere)
    image = compacted_image(COMPACTED | 0x207, b"\x01" + bytes(255 + 8))
    head = (840).to_bytes(4, "little") + b"\xbb" * 60
    world_516.target.put(elsewhere, head + image)
    model = model_of(world_516, LAYOUTS_516)
    assert model.variant == "thread.fpu.fpstate"
    assert (model.format, model.xstate.mask, model.xstate.size) == ("compacted", 0x207, 840)
    assert model.image_address(task + FPU) == elsewhere + 64
    assert model.image(task + FPU) == image
    assert model.header(task + FPU) == (0x207, COMPACTED | 0x207)
    assert model.xstate.init[:512] == INIT_LEGACY
    assert Looks(model).memory(model.kernel.task(task)).used == AVX
    world_516.target.put(elsewhere + 64 + 576, b"\x00")
    assert Looks(model).memory(model.kernel.task(task)).used == 0


def test_a_child_in_fork_has_no_image_yet(world_516):
    task = world_516.add(5)
    model = model_of(world_516, LAYOUTS_516)
    world_516.target.put_int(task + FPU + 24, 0)
    assert model.lacks_image(task + FPU)
    world_516.target.put_int(task + FPU + 24, 0xFFFFC90000001000)
    assert not model.lacks_image(task + FPU)


def test_a_kvm_guests_state_is_not_the_tasks(world_516):
    """In KVM_RUN `fpstate` is the guest's, and `__task_fpstate` what the task had and gets back."""
    task, own, guest = world_516.add(5), 0xFFFFC90000001000, 0xFFFFC90000002000
    size = (840).to_bytes(4, "little").ljust(64, b"\0")
    for place, first in ((own, b"\x00"), (guest, b"\x01")):
        image = compacted_image(COMPACTED | 0x207, first + bytes(255 + 8))
        world_516.target.put(place, size + image)
    model = model_of(world_516, LAYOUTS_516)
    world_516.target.put_int(task + FPU + 24, own)
    assert not model.holds_guest(task + FPU)
    world_516.target.put_int(task + FPU + 24, guest)
    assert model.image_address(task + FPU) == guest + 64
    world_516.target.put_int(task + FPU + 32, own)
    assert model.holds_guest(task + FPU)
    assert model.image_address(task + FPU) == own + 64
    assert Looks(model).memory(model.kernel.task(task)).used == 0


def test_an_embedded_state_holds_no_guest(world):
    task = world.add(5)
    assert not model_of(world).holds_guest(task + FPU)


@pytest.mark.parametrize("size", [511, 65537])
def test_absurd_size_of_one_image(world_516, size):
    task, elsewhere = world_516.add(5), 0xFFFFC90000001000
    world_516.target.put_int(task + FPU + 24, elsewhere)
    world_516.target.put(elsewhere, size.to_bytes(4, "little") + bytes(70000))
    with pytest.raises(CorruptState, match=str(size)):
        model_of(world_516, LAYOUTS_516).image(task + FPU)


@pytest.mark.parametrize("pointer", [0, 0xDEAD000000000000])
def test_wild_fpstate_pointer_is_a_fault(world_516, pointer):
    task = world_516.add(5)
    world_516.target.put_int(task + FPU + 24, pointer)
    with pytest.raises(MemoryFault) as caught:
        model_of(world_516, LAYOUTS_516).image(task + FPU)
    assert caught.value.address == pointer


# --- what is missing


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("xfeatures_mask", "xfeatures_mask_all"),
        ("xstate_size", "fpu_kernel_xstate_size"),
        ("boot_cpu_data", "boot_cpu_data"),
    ],
)
def test_missing_symbol_is_named(world, gone, named):
    del world.target.symbols[gone]
    with pytest.raises(MissingSymbol) as caught:
        model_of(world)
    assert caught.value.name == named


@pytest.mark.parametrize(
    ("without", "error", "named"),
    [
        (["fpu"], MissingType, "fpu"),
        (["thread_struct"], MissingType, "thread_struct"),
        (["cpuinfo_x86"], MissingMember, "x86_capability"),
    ],
)
def test_missing_type_is_named(world, without, error, named):
    with pytest.raises(error) as caught:
        model_of(world, layouts_44(without=without))
    assert named in (getattr(caught.value, "member", ""), getattr(caught.value, "name", ""))


def test_kernel_whose_thread_struct_has_no_fpu(world):
    """6.16 and later: struct fpu lies behind task_struct."""
    thread = struct("thread_struct", 4096, ("sp", 24, 8))
    with pytest.raises(MissingMember) as caught:
        model_of(world, Layouts([task_struct(), *COMMON[:2], thread, *FPU_44]))
    assert (caught.value.type_name, caught.value.member) == ("thread_struct", "fpu")


def test_no_way_to_tell_whether_registers_are_live(world):
    bare = struct("fpu", 3904, ("last_cpu", 0, 4), ("state", 64, 3840))
    task = world.add(5)
    with pytest.raises(MissingMember) as caught:
        model_of(world, Layouts([task_struct(), *COMMON, bare])).live(task)
    assert caught.value.member == "thread_info"


# --- kernel code that uses the FPU


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("in_kernel_fpu", (0, 1), (False, True)),
        ("in_kernel_fpu", (2, 0), (True, False)),
        ("kernel_fpu_allowed", (0, 1), (True, False)),
        ("kernel_fpu_allowed", (1, 0), (False, True)),
    ],
)
def test_kernel_use(world, name, values, expected):
    world.target.symbols[name] = 0xD000
    for offset, value in zip(CPU_OFFSETS, values):
        world.target.put_int(offset + 0xD000, value, 1)
    model = model_of(world)
    assert [model.kernel_use(cpu) for cpu in (0, 1)] == [(taken, name) for taken in expected]


def test_kernel_use_where_nothing_tells(world):
    assert model_of(world).kernel_use(0) == (False, "")


def test_an_image_without_its_gaps(world):
    """Standard: what lies between SSE and PKRU is read only where components are."""
    for name, value in (("xstate_offsets", 2432), ("xstate_sizes", 8)):
        world.target.put_int(SYMBOLS[name] + 4 * 9, value, 4)
    world.target.put_int(SYMBOLS["xfeatures_mask"], 0x207)
    world.target.put_int(SYMBOLS["xstate_size"], 2440, 4)
    task = world.add(5)
    world.target.put(task + STATE + 512, b"\x77" * (2440 - 512))
    model = model_of(world)
    whole, parts = model.image(task + FPU), model.image(task + FPU, gaps=False)
    assert len(whole) == len(parts) == 2440
    assert parts == whole[:832] + bytes(2432 - 832) + whole[2432:]
    world.target.reads.clear()
    model.image(task + FPU, gaps=False)
    assert world.target.reads == [(task + STATE, 832), (task + STATE + 2432, 8)]


def test_a_compacted_image_has_no_gaps_to_leave_out():
    world = compacted_world()
    task = world.add(5)
    world.target.put(task + STATE, compacted_image(COMPACTED | 0x207, b"\x77" * 264))
    model = model_of(world)
    assert model.image(task + FPU, gaps=False) == model.image(task + FPU)


def test_the_flag_that_tells_live_registers():
    for name in ("fpregs_active", "initialized", "has_fpu"):
        layout = struct("fpu", 3904, ("last_cpu", 0, 4), (name, 4, 1), ("state", 64, 3840))
        world = newer_world(xfeatures_mask=(7, 8), fpu_kernel_xstate_size=(832, 4))
        model = model_of(world, Layouts([task_struct(), *COMMON, layout]))
        assert model.live_flag == name
    world = newer_world(xfeatures_mask_all=(7, 8), fpu_kernel_xstate_size=(832, 4))
    assert model_of(world, LAYOUTS_510).live_flag == ""
