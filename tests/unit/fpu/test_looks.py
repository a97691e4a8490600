# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks at a task's own registers: what is read of them, and what they are taken for."""

from __future__ import annotations

import pytest
from fake_kernel import (
    BLOCKED,
    FPU,
    GOLDEN,
    INIT_LEGACY,
    NVCSW,
    PF_KTHREAD,
    SYMBOLS,
    World,
    golden_world,
    layouts_44,
)
from peak import peak

from gdbfpu.fpu import model as fpu
from gdbfpu.fpu.evidence import Answer, Basis, Evidence, Observation
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.tasks import Kernel

X87, SSE, AVX = 1, 2, 4
ACTIVE, REGS_ACTIVE, STATE = FPU + 4, FPU + 5, FPU + 64  # offsets of 4.4 from a task_struct
FRAME = 0x7FFD5C965140
SIGALRM = 14
NOTHING = Evidence()


def header(xfeatures):
    return xfeatures.to_bytes(8, "little").ljust(64, b"\0")


def looks_of(world):
    return Looks(fpu.probe(Kernel(world.target, layouts_44())))


def task_of(looks, address):
    return looks.model.kernel.task(address)


@pytest.fixture
def lazy():
    world = World()
    world.add(0, b"swapper/0", flags=PF_KTHREAD)
    return world


@pytest.fixture
def eager(lazy):
    # X86_FEATURE_EAGER_FPU is ( 3*32+29): arch/x86/include/asm/cpufeature.h, 3.7 to 4.8
    lazy.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)
    return lazy


def saved_task(world, xfeatures=7, pid=5):
    task = world.add(pid)
    world.target.put_int(task + ACTIVE, 1, 1)
    world.target.put(task + STATE + 512, header(xfeatures))
    return task


VALUES = [
    (0, b"\x7e", X87),  # FCW
    (2, b"\x01", X87),  # FSW
    (4, b"\x80", X87),  # FTW, abridged
    (5, b"\xff", 0),  # reserved
    (6, b"\xff" * 18, 0),  # FOP, FIP, FDP: may be another task's on some CPUs
    (32, b"\x01", X87),  # ST0
    (32 + 16 * 7 + 9, b"\x01", X87),  # ST7's last byte
    (32 + 10, b"\xff" * 6, 0),  # behind ST0: reserved
    (24, b"\x00", SSE),  # MXCSR
    (28, b"\x12\x34", 0),  # MXCSR_MASK is no state
    (160, b"\x01", SSE),  # XMM0
    (160 + 255, b"\x01", SSE),  # XMM15
    (416, b"\xff" * 96, 0),  # reserved, available to software
    (576, b"\x01", AVX),
    (831, b"\x80", AVX),
]


@pytest.mark.parametrize(("offset", "value", "used"), VALUES)
def test_memory_goes_by_the_values(eager, offset, value, used):
    task = saved_task(eager)
    looks = looks_of(eager)
    assert looks.memory(task_of(looks, task)).used == 0
    eager.target.put(task + STATE + offset, value)
    seen = looks.memory(task_of(looks, task), 4)
    assert (seen.basis, seen.used, seen.hit) == (Basis.MEMORY, used, 4)


@pytest.mark.parametrize(("offset", "value", "used"), VALUES)
def test_a_frame_goes_by_the_values(eager, offset, value, used):
    task = saved_task(eager)
    eager.target.put(FRAME, INIT_LEGACY + header(7) + bytes(256))
    eager.target.put(FRAME + offset, value)
    looks = looks_of(eager)
    seen = looks.frame(task_of(looks, task), FRAME, 4)
    assert (seen.basis, seen.used, seen.hit) == (Basis.FRAME, used, 4)


@pytest.mark.parametrize("bits", [0, 3])
def test_bytes_of_a_clear_bit_are_stale(eager, bits):
    task = saved_task(eager, bits)
    eager.target.put(task + STATE + 576, b"\x01")
    if not bits:
        eager.target.put(task + STATE + 160, b"\x01")
        eager.target.put(task + STATE + 32, b"\x01")
    looks = looks_of(eager)
    assert looks.memory(task_of(looks, task)).used == 0


def test_mxcsr_counts_though_the_bit_of_sse_is_clear(eager):
    task = saved_task(eager, 0)
    eager.target.put_int(task + STATE + 24, 0x7F80, 4)
    looks = looks_of(eager)
    assert looks.memory(task_of(looks, task)).used == SSE


def test_what_equals_the_kernels_own_initial_state_is_initial(eager):
    task = saved_task(eager)
    eager.target.put(SYMBOLS["init_fpstate"] + 576, b"\x54")
    looks = looks_of(eager)
    eager.target.put(task + STATE + 576, b"\x54")
    assert looks.memory(task_of(looks, task)).used == 0
    eager.target.put(task + STATE + 576, b"\x55")
    assert looks.memory(task_of(looks, task)).used == AVX


def test_the_first_packet_is_enough_for_most_users(eager):
    task = saved_task(eager)
    eager.target.put(task + STATE + 160, b"\x01")
    looks = looks_of(eager)
    eager.target.reads.clear()
    known = task_of(looks, task)
    eager.target.reads.clear()
    assert looks.memory(known).used == SSE
    assert eager.target.reads == [(task + STATE + 24, 504)]


def test_bits_count_where_a_frame_was_seen_without_them(eager):
    first, second = saved_task(eager), saved_task(eager, 7, pid=6)
    looks = looks_of(eager)
    assert looks.memory(task_of(looks, second)).used == 0
    eager.target.put(FRAME, INIT_LEGACY + header(3) + bytes(256))
    assert looks.frame(task_of(looks, first), FRAME).used == 0
    seen = looks.memory(task_of(looks, second), 9)
    assert (seen.basis, seen.used, seen.hit) == (Basis.HEADER, AVX, 9)


def test_registers_that_the_stub_shows(eager):
    task = saved_task(eager)
    looks = looks_of(eager)
    initial = {"fcw": b"\x7f\x03", "mxcsr": b"\x80\x1f\0\0", "xmm3": bytes(16), "st0": bytes(10)}
    for shown in ({}, initial):
        eager.target.fpu[1] = shown
        assert looks.registers(task_of(looks, task), 1) is None
    eager.target.fpu[1] = {**initial, "xmm3": b"\0" * 15 + b"\x01"}
    seen = looks.registers(task_of(looks, task), 1, 6)
    assert (seen.basis, seen.used, seen.hit) == (Basis.REGISTERS, SSE, 6)


def test_a_table_with_offsets_of_gigabytes_takes_no_memory(eager):
    """The image for a CPU's registers was as long as the farthest component lies."""
    task = saved_task(eager)
    eager.target.put_int(SYMBOLS["xstate_offsets"] + 8, 0xF0000000, 4)
    eager.target.fpu[1] = {"xmm3": b"\0" * 15 + b"\x01"}

    def look():
        looks = looks_of(eager)  # which has looked at no CPU yet
        return looks.registers(task_of(looks, task), 1, 6)

    seen, most = peak(look)
    assert seen.used == SSE
    assert most < 1 << 20


def test_upper_halves_that_the_stub_shows(eager):
    task = saved_task(eager)
    looks = looks_of(eager)
    eager.target.fpu[1] = {"ftw": b"\0", "ymm3": bytes(32), "ymm4": bytes(32)}
    assert looks.registers(task_of(looks, task), 1) is None
    eager.target.fpu[1]["ymm4"] = bytes(31) + b"\x01"
    seen = looks.registers(task_of(looks, task), 1, 6)
    assert (seen.basis, seen.used, seen.hit) == (Basis.REGISTERS, AVX, 6)


def test_an_initial_state_comes_with_what_can_make_it_a_handlers(eager):
    task = saved_task(eager)
    eager.target.put_int(task + BLOCKED, 1 << 13)
    eager.target.put_int(task + NVCSW, 8)
    looks = looks_of(eager)
    seen = looks.memory(task_of(looks, task))
    assert (seen.blocked, seen.switches) == (1 << 13, 9)
    assert looks.memory(task_of(looks, task), 2).switches == 0


@pytest.mark.parametrize(("mask", "answer"), [(0, Answer.NO), (1 << 13, Answer.UNKNOWN)])
def test_several_initial_states_are_a_no_if_none_was_a_handlers(eager, mask, answer):
    task = saved_task(eager)
    eager.handle(task, SIGALRM)
    looks, evidence = looks_of(eager), NOTHING
    for hit in (1, 2, 3):
        assert evidence.answer is Answer.UNKNOWN
        seen = Observation(Basis.FRAME, 0, hit, blocked=mask if hit == 2 else 0)
        evidence = looks.add(evidence, seen, task_of(looks, task))
    assert evidence.answer is answer


# --- the kernel as it stands


@pytest.mark.parametrize("active", [0, 1])
def test_lazy_switching_goes_by_fpstate_active_alone(lazy, active):
    task = lazy.add(5)
    lazy.target.put_int(task + ACTIVE, active, 1)
    lazy.target.put_int(task + REGS_ACTIVE, 1 - active, 1)
    lazy.target.put_int(task + STATE, 0xFFFF - 0x5555 * active, 2)  # FCW differs either way
    looks = looks_of(lazy)
    evidence = looks.now(NOTHING, task_of(looks, task), None)
    assert evidence.answer.to_json() is bool(active)
    assert evidence.why == ("fpstate_active" if active else "no fpstate_active")


@pytest.mark.parametrize(("mask", "answer"), [(0, Answer.NO), (1 << 13, Answer.UNKNOWN)])
def test_no_state_may_be_a_handlers(lazy, mask, answer):
    task = lazy.add(5)
    lazy.handle(task, SIGALRM)
    lazy.target.put_int(task + BLOCKED, mask)
    looks = looks_of(lazy)
    evidence = looks.now(NOTHING, task_of(looks, task), None)
    assert evidence.answer is answer
    assert (evidence.why == "it may be in a signal handler") is bool(mask)


def test_recorded_tasks_all_use_the_fpu():
    for hit in GOLDEN["hits"]:
        world, task = golden_world(hit)
        looks = looks_of(world)
        evidence = looks.now(NOTHING, task_of(looks, task), None)
        assert (evidence.answer, evidence.why) == (Answer.YES, "fpstate_active")


@pytest.mark.parametrize("switching", ["lazy", "eager"])
def test_kernel_threads_use_none(switching, request):
    world = request.getfixturevalue(switching)
    task = world.add(5, flags=PF_KTHREAD)
    world.target.put_int(task + ACTIVE, 1, 1)
    world.target.put_int(task + STATE + 160, 1)
    looks = looks_of(world)
    evidence = looks.now(NOTHING, task_of(looks, task), None)
    assert (evidence.answer, evidence.why) == (Answer.NO, "a kernel thread")


def test_a_sleeping_task_is_looked_at_in_memory(eager):
    task = saved_task(eager)
    looks = looks_of(eager)
    evidence = looks.now(NOTHING, task_of(looks, task), None)
    assert (evidence.answer, evidence.why) == (Answer.UNKNOWN, "initial in 1 memory image")
    assert looks.now(evidence, task_of(looks, task), None) == evidence
    eager.target.put(task + STATE + 576, b"\x01")
    evidence = looks.now(evidence, task_of(looks, task), None)
    assert (evidence.answer, evidence.why) == (Answer.YES, "AVX values in memory")


def test_up_to_4_13_memory_of_a_running_task_may_be_the_old_programs(eager):
    task = saved_task(eager)
    eager.target.put_int(task + REGS_ACTIVE, 1, 1)
    eager.target.put(task + STATE + 576, b"\x01")
    looks = looks_of(eager)
    evidence = looks.now(NOTHING, task_of(looks, task), 1)
    assert (evidence.answer, evidence.why) == (Answer.UNKNOWN, "CPU 1 has its registers")
    eager.target.put_int(task + REGS_ACTIVE, 0, 1)
    assert looks.now(evidence, task_of(looks, task), 1).answer is Answer.YES
