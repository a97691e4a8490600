# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules on who owns a CPU's registers, each with a planted defect and a clean twin."""

from __future__ import annotations

import pytest
from audit_machines import FLAGS, M44, M49, M66, M310, M510, M616, SYMBOLS, M44Eager
from planting import ALICE, BOB, EVERY, VENDOR, Planted, one

from gdbfpu.target import Answers

planted = Planted()

CR0, TS = 0x80050033, 8


@planted("FLAGS", M44, M44Eager, M49)
def loaded_registers_of_a_task_that_sleeps(m):
    yield m.audit(), []
    m.in_fpu(m.bob, 5, 1, 1)
    read = "fpregs_active is set, but the task does not run"
    yield m.audit(), [one("FLAGS", "error", BOB, "", m.fpu(m.bob), read)]


@planted("FLAGS", M310)
def loaded_registers_of_a_task_that_sleeps_up_to_4_1(m):
    yield m.audit(), []
    m.in_fpu(m.bob, 4, 1, 4)
    read = "has_fpu is set, but the task does not run"
    yield m.audit(), [one("FLAGS", "error", BOB, "", m.fpu(m.bob), read)]


@planted("FLAGS", M44, M44Eager)
def loaded_registers_without_a_state(m):
    yield m.audit(), []
    m.in_fpu(m.alice, 4, 0, 1)
    read = "fpregs_active is set, but fpstate_active is not"
    yield m.audit(), [one("FLAGS", "error", ALICE, "", m.fpu(m.alice), read)]


@planted("OWNER", M44, M49, M510, M66, M616)
def registers_of_another_owner(m):
    """CVE-2019-19602: fpu_fpregs_owner_ctx was another task's."""
    yield m.audit(), []
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), m.fpu(m.bob))
    read = f"CPU 0, but the owner there is {m.fpu(m.bob):#x}, not {m.fpu(m.alice):#x}"
    yield m.audit(), [one("OWNER", "error", ALICE, "", m.fpu(m.alice), read)]
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), 0)
    yield m.audit(), [one("OWNER", "error", ALICE, "", m.fpu(m.alice), "owner there is 0x0")]


@planted("OWNER", M310)
def registers_of_another_task_up_to_4_1(m):
    yield m.audit(), []
    m.target.put_int(m.in_cpu("fpu_owner_task", 0), m.bob)
    read = f"CPU 0, but the owner there is {m.bob:#x}, not {m.alice:#x}"
    yield m.audit(), [one("OWNER", "error", ALICE, "", m.fpu(m.alice), read)]


@planted("OWNER", M510, M66, M616)
def registers_that_last_were_in_another_cpu(m):
    """fpregs_state_valid(): owner and last_cpu, 5.2 on."""
    yield m.audit(), []
    m.in_fpu(m.alice, 0, 1, 4)
    read = "loaded on CPU 0, but last_cpu is 1"
    yield m.audit(), [one("OWNER", "error", ALICE, "", m.fpu(m.alice), read)]


@planted("OWNER", M44, M44Eager, M49, M510, M66)
def loaded_registers_behind_cr0_ts(m):
    """The stub shows CR0, as QEMU's does."""
    yield m.audit(), []
    m.target.control[0, "cr0"] = CR0
    yield m.audit(), []
    m.target.control[0, "cr0"] = CR0 | TS
    read = "on CPU 0, CR0.TS is set, but the task's registers count as loaded"
    yield m.audit(), [one("OWNER", "error", ALICE, "", m.fpu(m.alice), read)]
    flag = (m.alice, 5, 0, 1) if m.pointer is None and not isinstance(m, M510) else None
    if flag:
        m.in_fpu(*flag)
    else:
        m.tif(m.alice, True)
    yield m.audit(), []


@planted("OWNER", M44, M510)
def loaded_registers_behind_cr0_ts_as_the_cpu_tells(m):
    m.target.control[0, "cr0"] = CR0 | TS  # what no stub says of a CPU that was asked
    m.target.answers = Answers(0, {"cr0": CR0, "cr4": 1 << 18}, 832 if isinstance(m, M44) else 2696)
    yield m.audit(), []
    m.target.answers = Answers(
        0, {"cr0": CR0 | TS, "cr4": 1 << 18}, 832 if isinstance(m, M44) else 2696
    )
    read = "on CPU 0, CR0.TS is set, but the task's registers count as loaded"
    yield m.audit(), [one("OWNER", "error", ALICE, "", m.fpu(m.alice), read)]
    m.target.put_int(m.in_cpu("in_kernel_fpu", 0), 1, 1)  # then they are kernel code's
    if isinstance(m, M510):
        m.tif(m.alice, True)
    yield m.audit(), []


@planted("TWICE", M44, M44Eager, M310, M49, M510, M66)
def one_task_on_two_cpus(m):
    yield m.audit(), []
    m.world.run(m.alice, 1, active=False)
    read = "CPUs 0 and 1 run this task at the same time"
    yield m.audit(), [one("TWICE", "error", ALICE, "", m.fpu(m.alice), read)]


@planted("LAZYFP", M44)
def registers_behind_cr0_ts(m):
    """CVE-2018-3665: alice runs without registers, and the CPU still has bob's."""
    place = m.in_cpu("fpu_fpregs_owner_ctx", 0)
    m.in_fpu(m.alice, 5, 0, 1)
    m.target.put_int(place, m.fpu(m.alice))
    yield m.audit(), []
    m.target.put_int(place, 0)
    yield m.audit(), []
    m.target.put_int(place, m.fpu(m.bob))
    read = "CPU 0 still holds the registers of bob (pid 11)"
    found = [one("LAZYFP", "warning", ALICE, "", m.fpu(m.alice), read)]
    yield m.audit(), found
    m.target.put_int(VENDOR, 2, 1)  # AMD is not affected
    yield m.audit(), []
    m.target.put_int(VENDOR, 0, 1)
    yield m.audit(), found
    m.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)  # eager: TS is clear
    yield m.audit(), []


@planted("LAZYFP", M44, M310)
def registers_that_are_not_behind_cr0_ts(m):
    """Then no speculation is needed: alice reads bob's registers, on any CPU."""
    lazy_310 = isinstance(m, M310)
    place = m.in_cpu("fpu_owner_task" if lazy_310 else "fpu_fpregs_owner_ctx", 0)
    m.in_fpu(m.alice, *((4, 0, 4) if lazy_310 else (5, 0, 1)))
    m.target.put_int(place, m.bob if lazy_310 else m.fpu(m.bob))
    m.target.put_int(VENDOR, 2, 1)  # AMD
    m.target.control[0, "cr0"] = CR0 | TS
    yield m.audit(), []
    m.target.control[0, "cr0"] = CR0
    read = (
        "CPU 0 still holds the registers of bob (pid 11), and CR0.TS is clear, but the task's "
        "registers do not count as loaded"
    )
    found = [one("LAZYFP", "error", ALICE, "", m.fpu(m.alice), read)]
    yield m.audit(), found
    m.target.put_int(VENDOR, 0, 1)  # Intel
    yield m.audit(), found
    m.target.control[0, "cr0"] = CR0 | TS
    read = "CPU 0 still holds the registers of bob (pid 11)"
    yield m.audit(), [one("LAZYFP", "warning", ALICE, "", m.fpu(m.alice), read)]
    m.target.control[0, "cr0"] = CR0
    m.target.put_int(place, m.alice if lazy_310 else m.fpu(m.alice))
    yield m.audit(), []
    m.target.put_int(place, 0)
    yield m.audit(), []


@planted("LAZYFP", M44)
def registers_that_kernel_code_opened(m):
    """kernel_fpu_begin() clears CR0.TS."""
    m.in_fpu(m.alice, 5, 0, 1)
    m.target.put_int(VENDOR, 2, 1)
    m.target.control[0, "cr0"] = CR0
    m.target.put_int(m.in_cpu("in_kernel_fpu", 0), 1, 1)
    yield m.audit(), []
    m.target.put_int(m.in_cpu("in_kernel_fpu", 0), 0, 1)
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), m.fpu(m.bob))
    read = "and CR0.TS is clear, but the task's registers do not count as loaded"
    yield m.audit(), [one("LAZYFP", "error", ALICE, "", m.fpu(m.alice), read)]


@planted("LAZYFP", M310)
def registers_behind_cr0_ts_up_to_4_1(m):
    place = m.in_cpu("fpu_owner_task", 0)
    m.in_fpu(m.alice, 4, 0, 4)
    m.target.put_int(place, m.alice)
    yield m.audit(), []
    m.target.put_int(place, m.carol)
    read = "CPU 0 still holds the registers of carol (pid 12)"
    yield m.audit(), [one("LAZYFP", "warning", ALICE, "", m.fpu(m.alice), read)]


@planted("KERNFPU", M510, M66, M616)
def kernel_code_with_registers_that_are_not_saved(m):
    """kernel_fpu_begin() sets TIF_NEED_FPU_LOAD first of all."""
    name = "kernel_fpu_allowed" if isinstance(m, M616) else "in_kernel_fpu"
    m.target.put_int(m.in_cpu(name, 0), name == "in_kernel_fpu", 1)
    m.tif(m.alice, True)
    yield m.audit(), []
    m.tif(m.alice, False)
    read = f"{name} says that kernel code has the FPU of CPU 0, but TIF_NEED_FPU_LOAD is clear"
    yield m.audit(), [one("KERNFPU", "error", ALICE, "", m.fpu(m.alice), read)]


@planted("KERNFPU", M44, M510, M66, M616)
def kernel_use_that_never_ended(m):
    """The CPU is in user mode."""
    name = "kernel_fpu_allowed" if isinstance(m, M616) else "in_kernel_fpu"
    if not isinstance(m, M44):
        m.tif(m.alice, True)
    m.target.put_int(m.in_cpu(name, 0), name == "in_kernel_fpu", 1)
    yield m.audit(), []
    m.target.registers["rip"] = 0x401000
    read = f"{name} says that kernel code has the FPU of CPU 0, but that CPU is in user mode"
    yield m.audit(), [one("KERNFPU", "error", ALICE, "", m.fpu(m.alice), read)]
    m.target.put_int(m.in_cpu(name, 0), name != "in_kernel_fpu", 1)
    yield m.audit(), []


@planted.each()
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    planted.hold(rule, plant, machine)


def test_kernel_use_where_the_stub_shows_no_registers():
    m = M510()
    m.tif(m.alice, True)
    m.target.put_int(m.in_cpu("in_kernel_fpu", 0), 1, 1)
    del m.target.registers["rip"]
    assert m.audit() == ()
    m.target.registers["rip"] = 0x401000
    assert [f.rule for f in m.audit()] == ["KERNFPU"]


def test_a_dump_without_cpus_is_audited_as_far_as_memory_tells():
    """Nothing is read but memory, though a task's registers are live, and kernel code has them."""
    m = M510()
    m.tif(m.alice, True)
    m.target.put_int(m.in_cpu("in_kernel_fpu", 0), 1, 1)
    m.target.registers["rip"] = 0x401000
    m.target.machine = None
    assert m.audit() == ()
    m.tif(m.alice, False)
    assert [f.rule for f in m.audit()] == ["KERNFPU"]


def test_the_program_counter_is_that_of_the_cpu_that_stopped():
    m = M510()
    m.world.run(m.bob, 1, active=False)
    m.target.put_int(m.in_cpu("in_kernel_fpu", 1), 1, 1)
    m.target.registers["rip"] = 0x401000  # of CPU 0
    assert m.audit() == ()
    m.world.run(m.bob, 1)
    assert [(f.rule, f.subject) for f in m.audit()] == [("KERNFPU", BOB)]


def test_two_idle_cpus_run_no_task():
    m = M510()
    m.world.run(m.idle, 0)
    m.tif(m.alice, True)
    assert m.audit() == ()


@pytest.mark.parametrize("flag", [0x4000, 0x10])
def test_a_worker_of_the_kernels_has_no_registers_to_own(flag):
    """PF_USER_WORKER (6.4), PF_IO_WORKER (5.5): switch_fpu_finish() passes over them."""
    m = M510()
    m.target.symbols["create_io_thread"] = 1
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), m.fpu(m.bob))
    assert [f.rule for f in m.audit()] == ["OWNER"]
    m.target.put_int(m.alice + FLAGS, flag, 4)
    assert m.audit() == ()
    m.target.put_int(m.alice + FLAGS, EVERY & ~0x204014, 4)
    assert [f.rule for f in m.audit()] == ["OWNER"]


@pytest.mark.parametrize("flag", [0x4000, 0x10])
def test_what_init_hands_down_on_older_kernels_excuses_nobody(flag):
    """PF_USED_ASYNC, which every program of 4.4 has, and PF_VCPU: no thread is made for workers."""
    m = M510()
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), m.fpu(m.bob))
    m.target.put_int(m.alice + FLAGS, flag, 4)
    assert [f.rule for f in m.audit()] == ["OWNER"]


def test_registers_that_nobody_counts_as_loaded_may_be_anybodys():
    """5.2 on: with TIF_NEED_FPU_LOAD set they are loaded anew at the return to user mode."""
    m = M510()
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), m.fpu(m.bob))
    m.in_fpu(m.alice, 0, 1, 4)
    assert {f.rule for f in m.audit()} == {"OWNER"}
    m.tif(m.alice, True)
    assert m.audit() == ()


def test_last_cpu_does_not_count_where_a_flag_tells():
    m = M44()
    m.in_fpu(m.alice, 0, 0xFFFFFFFF, 4)
    assert m.audit() == ()


def test_owners_of_idle_cpus_do_not_matter():
    m = M510()
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 1), 0xDEAD)
    m.target.put_int(m.in_cpu("in_kernel_fpu", 1), 1, 1)
    assert m.audit() == ()


def test_offline_cpus_run_nothing():
    m = M510()
    mask = m.put("__cpu_online_mask", 1)
    m.world.run(m.alice, 1, active=False)
    assert m.audit() == ()
    m.target.put_int(mask, 3)
    assert [f.rule for f in m.audit()] == ["TWICE"]


def test_current_tasks_of_both_cpus_are_checked():
    m = M510()
    m.world.run(m.bob, 1, active=False)
    m.tif(m.bob, False)
    m.in_fpu(m.bob, 0, 1, 4)
    assert m.audit() == ()
    m.in_fpu(m.bob, 0, 0, 4)
    found = m.audit()
    assert [(f.rule, f.subject) for f in found] == [("OWNER", BOB)]


def test_a_kernel_thread_has_no_registers_that_ts_could_contradict():
    for machine in (M44, M510):
        for cr0 in (CR0, CR0 | TS):
            m = machine()
            m.target.control[1, "cr0"] = cr0  # the idle task's CPU
            assert m.audit() == ()


def test_eager_kernels_do_not_set_ts_for_registers_in_memory():
    m = M510()
    m.tif(m.alice, True)
    m.target.control[0, "cr0"] = CR0
    assert m.audit() == ()
