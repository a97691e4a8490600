# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules on struct fpstate, each with a planted defect and a clean twin."""

from __future__ import annotations

import pytest
from audit_machines import (
    AMX,
    BITS,
    DEFAULT_PKRU,
    ELSEWHERE,
    FEATURES,
    FPSTATE_AT,
    IN_USE,
    IS_GUEST,
    IS_VALLOC,
    LEADER,
    M49,
    M66,
    M510,
    M517,
    M616,
    OWN,
    PERM,
    TASK_FPSTATE,
    USER_XFEATURES,
    XFD,
    XFEATURES,
)
from fake_kernel import struct, task_struct
from planting import ALICE, BOB, CAROL, EVERY, KERNEL_ADDRESS, Planted, one

from gdbfpu.layouts.types import Layouts
from gdbfpu.target import Answers

planted = Planted()


@planted("PERM", M66, M517, M616)
def thread_with_more_than_its_group_may(m):
    """The leader's permission counts: bob is a thread of alice's."""
    m.target.put_int(m.bob + LEADER, m.alice)
    m.in_fpu(m.bob, PERM, m.default | 1 << 63)
    m.in_fpu(m.alice, PERM, m.default)
    yield m.audit(), []  # FPU_GUEST_PERM_LOCKED is no component
    m.in_fpu(m.bob, PERM, m.default | 1 << 62)
    yield m.audit(), [one("PERM", "error", BOB, "", m.fpu(m.bob), "fpu.perm has bit 62,")]
    m.in_fpu(m.bob, PERM, m.default | AMX)
    read = "fpu.perm has TILEDATA,"
    yield m.audit(), [one("PERM", "error", BOB, "", m.fpu(m.bob), read)]
    m.in_fpu(m.alice, PERM, m.default | AMX)
    yield m.audit(), []
    m.in_fpu(m.bob, PERM, m.default)
    yield m.audit(), []


@planted("PERM", M66, M517, M616)
def signal_frames_larger_than_allowed(m):
    yield m.audit(), []
    m.fpstate(m.bob, USER_XFEATURES, m.default & ~0x800 | AMX)
    read = "fpstate.user_xfeatures has TILEDATA,"
    yield m.audit(), [one("PERM", "error", BOB, "", m.fpu(m.bob), read)]
    m.in_fpu(m.bob, PERM, m.default | AMX)
    yield m.audit(), []


@planted("AMXBUF", M66, M517, M616)
def buffer_that_is_not_what_its_flags_say(m):
    yield m.audit(), []
    start = m.fpu(m.bob) + OWN
    m.fpstate(m.bob, BITS, IS_VALLOC, 4)
    read = "its fpstate is fpu.__fpstate, but is_valloc or is_guest is set"
    yield m.audit(), [one("AMXBUF", "error", BOB, "", start, read)]
    m.fpstate(m.bob, BITS, 0, 4)
    m.fpstate(m.carol, BITS, 0, 4)
    read = "its fpstate is not fpu.__fpstate, but is_valloc and is_guest are clear"
    place = ELSEWHERE + 0x100000
    yield m.audit(), [one("AMXBUF", "error", CAROL, "", place, read)]


@planted("AMXBUF", M517)
def component_without_room(m):
    """Tile data in use, and no area for it: 5.16 on allocates it at first use."""
    m.fpstate(m.bob, XFD, 0)
    m.xfeatures(m.bob, 0x207)
    yield m.audit(), []
    m.fpstate(m.bob, XFEATURES, 3)
    read = "xfeatures has AVX|PKRU, but fpstate.xfeatures has no room for it"
    yield m.audit(), [one("AMXBUF", "error", BOB, "", m.at(m.bob) + 512, read)]
    m.fpstate(m.bob, XFEATURES, 0x207)
    yield m.audit(), []


@planted("XFD1", M66, M517, M616)
def cached_xfd_that_is_not_the_tasks(m):
    """CVE-2024-35801: xfd_state stays behind after CPU hotplug."""
    place = m.in_cpu("xfd_state", 0)
    yield m.audit(), []
    m.target.put_int(place, 0)
    read = "xfd_state of CPU 0 is 0x0, but fpstate.xfd is 0x40000"
    found = [one("XFD1", "error", ALICE, "", place, read)]
    yield m.audit(), found
    m.tif(m.alice, True)  # loaded with the registers, at the return to user mode
    yield m.audit(), []
    m.tif(m.alice, False)
    yield m.audit(), found
    m.fpstate(m.alice, XFD, 0)
    yield m.audit(), []


@planted("XFD1", M66, M616)
def xfd_of_a_cpu_that_is_not_the_cached_one(m):
    """CVE-2024-35801 itself: the register was reset, and the cache is what the task needs."""
    control = {"cr0": 0x80050033, "cr4": 1 << 18, "ia32_xss": 0x800}
    m.target.answers = Answers(0, {**control, "ia32_xfd": AMX}, 11008)
    yield m.audit(), []
    m.target.answers = Answers(0, {**control, "ia32_xfd": 0}, 11008)
    place = m.in_cpu("xfd_state", 0)
    read = "IA32_XFD is 0x0, but xfd_state is 0x40000"
    found = [one("XFD1", "error", "CPU 0", "", place, read)]
    yield m.audit(), found
    m.tif(m.alice, True)  # the register is the CPU's, whoever has the others
    yield m.audit(), found
    m.target.answers = Answers(0, {**control, "ia32_xfd": AMX | 1 << 17}, 11008)
    read = "IA32_XFD is 0x60000, but xfd_state is 0x40000"
    yield m.audit(), [one("XFD1", "error", "CPU 0", "", place, read)]
    m.target.answers = Answers(1, {**control, "ia32_xfd": 0}, 11008)  # of an idle task
    place = m.in_cpu("xfd_state", 1)
    read = "IA32_XFD is 0x0, but xfd_state is 0x40000"
    yield m.audit(), [one("XFD1", "error", "CPU 1", "", place, read)]


@planted("XFD3", M66, M616)
def component_in_use_that_xfd_disables(m):
    """b45f72177594: XSTATE_BV[18] and XFD[18]; carol has the room."""
    m.xfeatures(m.carol, 0x207 | AMX)
    yield m.audit(), []
    m.fpstate(m.carol, XFD, AMX)
    read = "xfeatures has TILEDATA, which fpstate.xfd disables"
    yield m.audit(), [one("XFD3", "error", CAROL, "", m.at(m.carol) + 512, read)]
    m.xfeatures(m.carol, 0x207)
    yield m.audit(), []


@planted("GUEST", M66, M517, M616)
def guest_state_without_the_tasks_own_aside(m):
    """fpu_swap_kvm_fpstate(): a guest's is there if, and only if, the task's own is set aside."""
    own, guest = m.fpu(m.bob) + OWN, ELSEWHERE + 0x200000
    copy = m.target.read_memory(own, 64 + m.size)
    m.target.put(guest, copy)
    m.target.put_int(guest + BITS, IS_GUEST | IN_USE, 4)
    m.in_fpu(m.bob, FPSTATE_AT, guest)
    m.in_fpu(m.bob, TASK_FPSTATE, own)
    yield m.audit(), []
    place = m.fpu(m.bob)
    m.target.put_int(guest + BITS, IS_GUEST, 4)
    read = "is_guest is 1, in_use is 0, and __task_fpstate is set"
    yield m.audit(), [one("GUEST", "error", BOB, "", place, read)]
    m.target.put_int(guest + BITS, IS_GUEST | IN_USE, 4)
    m.in_fpu(m.bob, TASK_FPSTATE, 0)
    read = "is_guest is 1, in_use is 1, and __task_fpstate is NULL"
    yield m.audit(), [one("GUEST", "error", BOB, "", place, read)]
    m.in_fpu(m.bob, FPSTATE_AT, own)
    yield m.audit(), []
    m.in_fpu(m.bob, TASK_FPSTATE, own)
    read = "is_guest is 0, in_use is 0, and __task_fpstate is set"
    yield m.audit(), [one("GUEST", "error", BOB, "", place, read)]


SSP_AT = 840 + 8  # PL3_SSP, behind IA32_U_CET


@planted("SSP", M66, M616)
def shadow_stack_of_a_task_without(m):
    """CVE-2025-21632: thread.features has no ARCH_SHSTK_SHSTK (1)."""
    m.xfeatures(m.bob, 0xA07)
    m.poke(m.bob, SSP_AT, (0x7FFFF7FF0000).to_bytes(8, "little"))
    m.poke(m.bob, SSP_AT + 8, b"\xff")  # behind the component
    m.target.put_int(m.bob + FEATURES, 1)
    yield m.audit(), []
    m.target.put_int(m.bob + FEATURES, 2)  # ARCH_SHSTK_WRSS
    read = "xfeatures has CET_U, but thread.features has no shadow stack"
    yield m.audit(), [one("SSP", "error", BOB, "CET_U", m.at(m.bob) + 512, read)]
    m.target.put_int(m.bob + FEATURES, 3)
    yield m.audit(), []
    m.poke(m.bob, SSP_AT, KERNEL_ADDRESS)
    read = "ssp is 0xffffffff81234567, not a user address"
    yield m.audit(), [one("SSP", "error", BOB, "CET_U", m.at(m.bob) + SSP_AT, read)]
    m.poke(m.bob, SSP_AT, (0x7FFFF7FF0000).to_bytes(8, "little"))
    yield m.audit(), []


@planted("PKRU0", M510)
def pkru_in_its_initial_state(m):
    """510b80a6a0f1: works with init_pkru_value where the header's bit 9 says 0."""
    m.poke(m.bob, 2688, bytes(8))
    yield m.audit(), []
    m.xfeatures(m.bob, 7)
    found = [one("PKRU0", "warning", BOB, "PKRU", m.at(m.bob) + 512, "the header's bit 9 is clear")]
    yield m.audit(), found
    m.xfeatures(m.bob, 0)
    for start, length in ((0, 24), (32, 384), (576, 256)):
        m.poke(m.bob, start, bytes(length))
    yield m.audit(), []  # all is initial: the state was never saved
    m.xfeatures(m.bob, 1)
    yield m.audit(), found
    m.forget("init_pkru_value")
    yield m.audit(), []


@planted.each()
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    planted.hold(rule, plant, machine)


def test_pkru_that_the_kernel_does_not_save_is_in_no_state():
    m = M510()
    m.put("xfeatures_mask_all", 7)
    for task in (m.alice, m.bob, m.carol):
        m.xfeatures(task, 7)
    assert m.audit() == ()


def test_kernels_that_never_took_init_pkru_for_the_initial_pkru():
    """Before 5.2 it came with the registers; since 5.14 it is in thread.pkru."""
    for machine in (M49, M66):
        m = machine()
        m.put("init_pkru_value", DEFAULT_PKRU, 4)
        m.xfeatures(m.bob, 7)
        m.poke(m.bob, 832, bytes(4))
        assert m.audit() == ()


def test_shadow_stack_state_where_the_kernel_does_not_say_who_has_one():
    m = M66()
    m.xfeatures(m.bob, 0xA07)
    assert m.audit() == ()  # the bit alone: CET_U may be initial, whatever the bit says
    m.poke(m.bob, SSP_AT, b"\1")
    (found,) = m.audit()
    assert found.rule == "SSP"
    assert found.read == "xfeatures has CET_U, but thread.features has no shadow stack"
    whole = m.layouts
    m.layouts = Layouts(
        struct("thread_struct", 4096, ("pkru", 40, 4), ("fpu", 192, 3904, "fpu"))
        if name == "thread_struct"
        else whole.struct(name)
        for name in whole.names()
    )
    assert m.audit() == ()


def test_permissions_where_the_kernel_does_not_lead_to_the_group():
    m = M66()
    m.in_fpu(m.bob, PERM, EVERY >> 1)
    m.target.put_int(m.bob + LEADER, m.alice)
    assert [f.rule for f in m.audit()] == ["PERM"]
    whole = m.layouts
    task = task_struct(("thread_info", 0, 16, "thread_info"))
    m.layouts = Layouts(
        task if name == "task_struct" else whole.struct(name) for name in whole.names()
    )
    assert m.audit() == ()


def test_a_guests_own_registers_are_not_the_tasks():
    """In KVM_RUN the CPU has the guest's, and the owner is still the task's struct fpu."""
    m = M66()
    own, guest = m.fpu(m.alice) + OWN, ELSEWHERE + 0x200000
    m.target.put(guest, m.target.read_memory(own, 64 + m.size))
    m.target.put_int(guest + BITS, IS_GUEST | IN_USE, 4)
    m.in_fpu(m.alice, FPSTATE_AT, guest)
    m.in_fpu(m.alice, TASK_FPSTATE, own)
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), m.fpu(m.bob))
    said = m.whole()
    assert said.findings == ()
    assert [u.subject for u in said.undecided if u.rule == "GUEST"] == []


@pytest.mark.parametrize("kept", [False, True])
def test_a_guests_apx_registers_may_be_elsewhere(kept):
    """The kernel saves APX of tasks, and guest_default_cfg says what it saves of guests."""
    m = M66()
    m.target.put_int(m.target.symbols["fpu_kernel_cfg"] + 8, m.mask | 1 << 19)
    whole = m.layouts
    config = struct("vcpu_fpu_config", 16, ("size", 0, 4), ("features", 8, 8))
    m.layouts = Layouts((*(whole.struct(name) for name in whole.names()), config))
    m.target.put(m.put("guest_default_cfg", 0), bytes(16))
    features = m.default | (1 << 19 if kept else 0)
    m.target.put_int(m.target.symbols["guest_default_cfg"] + 8, features)
    own, guest = m.fpu(m.alice) + OWN, ELSEWHERE + 0x200000
    m.target.put(guest, m.target.read_memory(own, 64 + m.size))
    m.target.put_int(guest + BITS, IS_GUEST | IN_USE, 4)
    m.in_fpu(m.alice, FPSTATE_AT, guest)
    m.in_fpu(m.alice, TASK_FPSTATE, own)
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), m.fpu(m.bob))
    said = [(u.subject, u.why) for u in m.whole().undecided if u.rule == "GUEST"]
    why = "KVM keeps the guest's r16 to r31 itself, not in the guest's fpstate"
    assert said == ([] if kept else [(ALICE, why)])


def undecided_xfd(m):
    return [(one.subject, one.why) for one in m.whole().undecided if one.rule == "XFD1"]


def test_xfd_is_undecided_where_no_cpu_told_it():
    hidden = "IA32_XFD itself is not in memory"
    m = M66()
    assert undecided_xfd(m) == [("CPU 0", hidden), ("CPU 1", hidden)]
    m.target.answers = Answers(0, {"cr0": 0x80050033, "cr4": 0, "ia32_xfd": AMX})
    assert undecided_xfd(m) == [("CPU 1", hidden)]
    m.target.answers = Answers(0, {"cr0": 0x80050033, "cr4": 0})  # it told all but this
    assert undecided_xfd(m) == [("CPU 0", hidden), ("CPU 1", hidden)]
    m.target.answers = Answers(0, {"cr0": 0x80050033, "cr4": 0, "ia32_xfd": 0})
    m.per_cpu("xfd_state", 0, 0)
    assert ("CPU 0", hidden) not in undecided_xfd(m)
    assert undecided_xfd(M510()) == []
