# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a record's words are, in each variant of struct fpu, held to what FpuModel reads itself."""

from __future__ import annotations

import pytest
from fake_kernel import (
    COMM,
    COMMON,
    CPU_OFFSETS,
    FLAGS,
    FPU,
    FPU_44,
    PF_KTHREAD,
    PID,
    SYMBOLS,
    TASK_BYTES,
    TGID,
    World,
    struct,
    task_struct,
)

from gdbfpu.errors import MissingMember, MissingSymbol
from gdbfpu.fast.assembler import Memory
from gdbfpu.fast.places import Header, read_places
from gdbfpu.fpu import model as fpu
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts

EAGER = 1 << 29  # X86_FEATURE_EAGER_FPU, word 3: arch/x86/include/asm/cpufeature.h
ELSEWHERE, GUEST = 0xFFFFC90000001000, 0xFFFFC90000003000
INFO = struct("thread_info", 16, ("flags", 0, 8), ("status", 8, 4))
POINTER = ("fpstate", 24, 8, "fpstate", True)
FPSTATE = struct("fpstate", 3840, ("size", 0, 4), ("regs", 64, 3776))


def members_of_fpu(*members):
    return struct("fpu", 3904, ("last_cpu", 0, 4), *members)


def with_info(*structs):
    return [task_struct(("thread_info", 0, 16, "thread_info")), *COMMON, INFO, *structs]


BEHIND = (  # 6.16: struct fpu follows task_struct
    struct("thread_struct", 64, ("sp", 24, 8)),
    members_of_fpu(POINTER, ("__task_fpstate", 32, 8, "fpstate", True)),
)
VARIANTS = {
    "4.1": [
        task_struct(),
        *COMMON,
        members_of_fpu(
            ("has_fpu", 8, 8), ("state", 16, 8, "fpregs_state", True), ("counter", 24, 1)
        ),
        FPU_44[1],
    ],
    "4.4": [task_struct(), *COMMON, *FPU_44],
    "4.14": [
        task_struct(),
        *COMMON,
        members_of_fpu(("initialized", 4, 1), ("state", 64, 3840, "fpregs_state")),
    ],
    "5.10": with_info(members_of_fpu(("state", 64, 3840, "fpregs_state"))),
    "5.16": with_info(members_of_fpu(POINTER, ("__task_fpstate", 32, 8, "fpstate", True)), FPSTATE),
    "6.16": with_info(FPSTATE, *BEHIND),
}


class Setup:
    """A kernel of a variant, with a task whose words a test writes."""

    def __init__(self, variant, *, lazy=False):
        self.world = World()
        self.target = self.world.target
        self.target.symbols["cpu_number"] = 0xD000
        self.world.add(0, b"swapper/0", flags=PF_KTHREAD)
        self.task = self.world.add(5, b"task")
        if not lazy:
            self.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, EAGER, 4)
        self.target.put(ELSEWHERE, bytes(4096))
        self.target.put(GUEST, bytes(4096))
        self.layouts = Layouts(VARIANTS[variant])

    def probe(self):
        self.model = fpu.probe(Kernel(self.target, self.layouts))
        return read_places(self.model)

    def word(self, address, size=8):
        return int.from_bytes(self.target.read_memory(address, size), "little")

    def header(self, places):
        """XSTATE_BV and XCOMP_BV by the way that `places` tell; None without an image."""
        start = self.task
        if places.header.pointers:
            found = [self.word(self.task + one) for one in places.header.pointers]
            start = next((pointer for pointer in found if pointer), None)
            if start is None:
                return None
        at = start + places.header.offset
        return self.word(at), self.word(at + 8)

    def live(self, places):
        offset, size, bit = places.live
        word = self.word(self.task + offset, size)
        return bool(word if bit is None else word >> bit & 1) is places.live_if


@pytest.mark.parametrize("variant", VARIANTS)
def test_who_it_is(variant):
    places = Setup(variant).probe()
    assert (places.pid, places.tgid, places.comm, places.flags) == (PID, TGID, COMM, FLAGS)
    assert places.fpu_offset == (TASK_BYTES if variant == "6.16" else FPU)


# --- the header

EMBEDDED = ("4.4", "4.14", "5.10")


@pytest.mark.parametrize("variant", EMBEDDED)
def test_a_header_within_the_task(variant):
    setup = Setup(variant)
    setup.target.put_int(setup.task + FPU + 64 + 512, 0x207)
    setup.target.put_int(setup.task + FPU + 64 + 520, 1 << 63)
    places = setup.probe()
    assert places.header == Header(FPU + 64 + 512)
    assert setup.header(places) == setup.model.header(setup.task + FPU) == (0x207, 1 << 63)


@pytest.mark.parametrize(
    ("variant", "own", "host"), [("4.1", 16, None), ("5.16", 24, 32), ("6.16", 24, 32)]
)
def test_a_header_behind_a_pointer(variant, own, host):
    """That of the task itself while a guest's is in its place; none before the first use."""
    setup = Setup(variant)
    place = TASK_BYTES if variant == "6.16" else FPU
    if variant == "6.16":
        setup.target.put(setup.task + TASK_BYTES, bytes(4096))
    regs = 0 if variant == "4.1" else 64
    for base, mask in ((ELSEWHERE, 7), (GUEST, 3)):
        setup.target.put_int(base + regs + 512, mask)
        setup.target.put_int(base + regs + 520, 1 << 63 | mask)
    places = setup.probe()
    assert setup.header(places) is None
    setup.target.put_int(setup.task + place + own, ELSEWHERE)
    assert setup.header(places) == (7, 1 << 63 | 7) == setup.model.header(setup.task + place)
    if host is not None:
        setup.target.put_int(setup.task + place + own, GUEST)
        setup.target.put_int(setup.task + place + host, ELSEWHERE)
        assert setup.header(places) == (7, 1 << 63 | 7) == setup.model.header(setup.task + place)


def test_without_xsave_there_is_no_header():
    setup = Setup("4.4")
    setup.target.put_int(SYMBOLS["xfeatures_mask"], 0)
    setup.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    assert setup.probe().header is None


# --- who has the registers

LIVE = {"4.1": (8, 8), "4.4": (5, 1), "4.14": (4, 1)}


@pytest.mark.parametrize("variant", LIVE)
def test_a_flag_of_struct_fpu_that_means_live(variant):
    offset, size = LIVE[variant]
    setup = Setup(variant)
    places = setup.probe()
    assert places.live == (FPU + offset, size, None)
    for value in (0, 1, 1 << 8 * size - 1):
        setup.target.put_int(setup.task + FPU + offset, value, size)
        assert setup.live(places) is setup.model.live(setup.task) is bool(value)


@pytest.mark.parametrize("variant", ["5.10", "5.16"])
@pytest.mark.parametrize("bit", [14, 19])
def test_a_flag_of_thread_info_that_means_memory(variant, bit):
    setup = Setup(variant)
    setup.target.put_int(setup.task, 1 << bit)
    places = setup.probe()
    assert places.live[2] == bit
    for word in (0, 1 << bit, ((1 << 32) - 1) & ~(1 << bit), (1 << 64) - 1):
        setup.target.put_int(setup.task, word)
        assert setup.live(places) is setup.model.live(setup.task) is not bool(word >> bit & 1)


def test_a_kernel_that_does_not_say_is_refused():
    setup = Setup("4.4")
    bare = members_of_fpu(("state", 64, 3840))
    setup.layouts = Layouts([task_struct(), *COMMON, bare, FPU_44[1]])
    with pytest.raises(MissingMember, match="thread_info"):
        setup.probe()


# --- whether there is a state


@pytest.mark.parametrize("variant", VARIANTS)
def test_under_eager_switching_every_task_has_a_state(variant):
    setup = Setup(variant)
    assert setup.probe().active is None


@pytest.mark.parametrize(("variant", "place"), [("4.1", (16, 8)), ("4.4", (4, 1))])
def test_under_lazy_switching_something_says_so(variant, place):
    setup = Setup(variant, lazy=True)
    places = setup.probe()
    assert places.active == (FPU + place[0], place[1])
    for value in (0, 1):
        setup.target.put_int(setup.task + FPU + place[0], value, place[1])
        assert setup.model.state_there(setup.task)[0] is bool(value)


# --- per-CPU variables


def reached(memory, cpu):
    """The address that an operand has on a CPU, whose gs base is its offset."""
    base = CPU_OFFSETS[cpu] if memory.gs else 0
    return (base + memory.disp) % (1 << 64)


def test_the_running_task_and_the_cpu():
    setup = Setup("4.4")
    places = setup.probe()
    for cpu in (0, 1):
        kernel = setup.model.kernel
        assert reached(places.current, cpu) == kernel.current_task_place(cpu)
        assert reached(places.cpu, cpu) == kernel.cpu_number_place(cpu)


def test_variables_of_6_15_have_symbols_in_the_kernels_image():
    """The operand's displacement is a signed 32 bit number."""
    setup = Setup("4.4")
    setup.target.symbols.update(current_task=0xFFFFFFFF83001000, cpu_number=0xFFFFFFFF83001010)
    for cpu, offset in enumerate(CPU_OFFSETS):
        place = (offset + 0xFFFFFFFF83001000) % (1 << 64)
        setup.target.put_int(place, setup.task)
        assert reached(setup.probe().current, cpu) == place
    assert setup.probe().cpu == Memory(disp=0xFFFFFFFF83001010 - (1 << 64), gs=True)


def test_in_6_2_they_are_members():
    setup = Setup("4.4")
    hot = struct("pcpu_hot", 64, ("current_task", 0, 8), ("cpu_number", 12, 4))
    setup.layouts = Layouts([*VARIANTS["4.4"], hot])
    setup.target.symbols["pcpu_hot"] = 0x34000
    places = setup.probe()
    assert places.current == Memory(disp=0x34000, gs=True)
    assert places.cpu == Memory(disp=0x3400C, gs=True)


def test_with_one_cpu_they_are_ordinary_variables():
    setup = Setup("4.4")
    del setup.target.symbols["__per_cpu_offset"]
    setup.target.symbols["current_task"] = 0xFFFFFFFF81A10000
    setup.target.put_int(0xFFFFFFFF81A10000, setup.task)
    places = setup.probe()
    assert places.current == Memory(disp=0xFFFFFFFF81A10000 - (1 << 64))
    assert places.cpu is None


def test_a_missing_variable_is_named():
    setup = Setup("4.4")
    del setup.target.symbols["cpu_number"]
    with pytest.raises(MissingSymbol, match="cpu_number"):
        setup.probe()
