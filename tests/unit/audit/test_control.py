# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule on what a CPU tells when it is asked, with planted defects and their clean twins."""

from __future__ import annotations

import pytest
from audit_machines import AMX, ERAS, M44, M49, M66, M310, M510, M517, M616, M44Eager
from planting import Planted, one

from gdbfpu.target import Answers

planted = Planted()

CR0, TS, EM = 0x80050033, 8, 4
CR4 = 0x003406F0  # OSFXSR, OSXMMEXCPT, OSXSAVE, SMEP, SMAP; bit 18 is OSXSAVE
SIZES = {
    M310: 832,
    M44: 832,
    M44Eager: 832,
    M49: 2696,
    M510: 2696,
    M517: 11008,
    M66: 11008,
    M616: 11008,
}
"""Bytes of a standard image of what each kernel enables in XCR0: its last component's end."""
XSS = 0x800  # CET_U
PT, LBR = 1 << 8, 1 << 15


def tell(m, cpu=0, *, size=None, **control):
    """Have the CPU answer as the kernel had set it up, but for what a test gives."""
    told = {"cr0": CR0, "cr4": CR4, "efer": 0xD01, **control}
    if isinstance(m, M66) and not isinstance(m, M517):
        told = {"ia32_xss": XSS, "ia32_xfd": AMX, **told}
    size = SIZES[type(m)] if size is None else size
    m.target.answers = Answers(cpu, {k: v for k, v in told.items() if v is not None}, size)


def msr(m, *read, cpu=0):
    task = m.alice if cpu == 0 else m.idle
    return [one("MSR", "error", f"CPU {cpu}", "", task, *read)]


@planted("MSR", M310, M44Eager, M49, M510, M517, M66, M616)
def every_fpu_instruction_traps(m):
    """CR0.EM."""
    tell(m)
    yield m.audit(), []
    tell(m, cr0=CR0 | EM)
    yield m.audit(), msr(m, "CR0.EM is set")
    tell(m, cr0=CR0 | EM, size=0, cr4=CR4 & ~(1 << 18))
    yield m.audit(), msr(m, "CR0.EM is set") + msr(m, "CR4.OSXSAVE is clear")


@planted("MSR", M44Eager, M49, M510, M517, M66, M616)
def xsave_is_not_enabled(m):
    """CR4.OSXSAVE: then XCR0 and IA32_XSS are not asked for."""
    tell(m)
    yield m.audit(), []
    tell(m, cr4=0, size=0, ia32_xss=None)
    yield m.audit(), msr(m, "CR4.OSXSAVE is clear")


@planted("MSR", M310, M44Eager)
def xcr0_of_other_size_up_to_4_8(m):
    tell(m)
    yield m.audit(), []
    tell(m, size=576)  # x87 and SSE only
    read = "XCR0 has components of 576 bytes, but those that the kernel saves for user space"
    yield m.audit(), msr(m, "(x87|SSE|AVX) have 832", read)
    tell(m, size=1088)  # BNDCSR, too
    yield m.audit(), msr(m, "have 832", "XCR0 has components of 1088 bytes")


@planted("MSR", M49, M510)
def xcr0_of_other_size_with_pkru(m):
    tell(m)
    yield m.audit(), []
    tell(m, size=832)
    read = "XCR0 has components of 832 bytes, but"
    yield m.audit(), msr(m, "(x87|SSE|AVX|PKRU) have 2696", read)


@planted("MSR", M517, M66, M616)
def xcr0_without_amx(m):
    """The features that tasks have to ask for are enabled, too."""
    tell(m)
    yield m.audit(), []
    tell(m, size=2696)
    read = "XCR0 has components of 2696 bytes, but"
    yield m.audit(), msr(m, "TILECFG|TILEDATA) have 11008", read)


@planted("MSR", M49, M66, M616)
def supervisor_state_that_is_not_the_kernels(m):
    wanted = 0 if isinstance(m, M49) else XSS
    tell(m, ia32_xss=wanted)
    yield m.audit(), []
    tell(m, ia32_xss=wanted | PT | LBR)  # which the kernel saves elsewhere
    yield m.audit(), []
    tell(m, ia32_xss=wanted ^ XSS)
    read = "IA32_XSS has -, but the kernel saves CET_U"
    if isinstance(m, M49):
        read = "IA32_XSS has CET_U, but the kernel saves -"
    yield m.audit(), msr(m, read)
    tell(m, ia32_xss=wanted | 1 << 16)
    names = "HWP" if isinstance(m, M49) else "CET_U|HWP"
    yield m.audit(), msr(m, f"IA32_XSS has {names}, but")


@planted("MSR", M49)
def no_supervisor_state_where_xsaves_is_missing(m):
    """XSAVEC alone also makes the compacted format: such a CPU has no IA32_XSS."""
    tell(m)
    yield m.audit(), []
    tell(m, cpu=1, cr0=CR0 | EM)
    yield m.audit(), msr(m, "CR0.EM is set", cpu=1)


@planted.each()
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    planted.hold(rule, plant, machine)


def undecided(m, task=None):
    said = m.whole(task).undecided
    return [(one.subject, one.why) for one in said if one.rule == "MSR"]


SILENT = "XCR0, IA32_XSS, IA32_XFD and CR0.TS are in the CPU, not in memory"


@pytest.mark.parametrize("machine", ERAS)
def test_no_cpu_was_asked(machine):
    m = machine()
    assert undecided(m) == [("CPU 0", SILENT), ("CPU 1", SILENT)]
    m.target.machine = None  # a dump
    assert undecided(m) == [("CPU 0", SILENT), ("CPU 1", SILENT)]


@pytest.mark.parametrize("cpu", [0, 1])
def test_one_cpu_was_asked(cpu):
    m = M510()
    tell(m, cpu)
    assert undecided(m) == [(f"CPU {1 - cpu}", SILENT)]


def test_every_cpu_was_asked():
    """There is one."""
    m = M510()
    m.put("__cpu_online_mask", 1)
    assert undecided(m) == [("CPU 0", SILENT)]
    tell(m)
    assert undecided(m) == []


def test_one_task_is_audited():
    """With it the CPU that runs it."""
    m = M510()
    assert undecided(m, m.bob) == []
    assert undecided(m, m.alice) == [("CPU 0", SILENT)]
    tell(m, cr0=CR0 | EM)
    assert undecided(m, m.alice) == []
    assert [f.rule for f in m.audit(m.alice)] == ["MSR"]
    assert m.audit(m.bob) == ()


def test_a_kernel_without_xsave():
    """FXSAVE: neither CR4.OSXSAVE nor XCR0 matters, and CR0.EM still does."""
    m = M44Eager()
    m.put("xfeatures_mask", 0)
    m.put("xstate_size", 512, 4)
    tell(m, cr4=0, size=0)
    assert [f.read for f in m.audit() if f.rule == "MSR"] == []
    tell(m, cr4=0, size=0, cr0=CR0 | EM)
    assert [f.read for f in m.audit() if f.rule == "MSR"] == ["CR0.EM is set"]


def test_the_standard_format_saves_no_supervisor_state():
    m = M510()
    tell(m, ia32_xss=XSS)
    assert m.audit() == ()
