# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule: its defect, planted in the form the bug had, is found, and nothing else is.

A planted defect is a generator over one machine: it yields what is found and what should be, first
on the clean twin, then after each change.
"""

from __future__ import annotations

from collections import defaultdict

import pytest
from audit_machines import (
    AMX,
    BITS,
    COMPACTED,
    DEFAULT_PKRU,
    ELSEWHERE,
    FEATURES,
    FLAGS,
    FPSTATE_AT,
    IN_USE,
    IS_GUEST,
    IS_VALLOC,
    LEADER,
    M44,
    M49,
    M66,
    M310,
    M510,
    M517,
    M616,
    OWN,
    PERM,
    SIZE,
    SYMBOLS,
    TASK_FPSTATE,
    USER_XFEATURES,
    XFD,
    XFEATURES,
    M41Xsaves,
    M44Eager,
    frame,
    header,
    pattern,
)
from fake_kernel import struct, task_struct

from gdbfpu.audit.finding import Finding
from gdbfpu.audit.rules import RULES
from gdbfpu.layouts.types import Layouts

EVERY = (1 << 64) - 1
ALICE, BOB, CAROL = "alice (pid 10)", "bob (pid 11)", "carol (pid 12)"
STACK = 0x7FFD5C965140  # where audit_machines has a frame
PLANTED = defaultdict(list)
"""The planted defects by rule: generators to call with a machine, and the machine's class."""


def planted(rule, *machines):
    def register(plant):
        PLANTED[rule] += [(plant, machine) for machine in machines]
        return plant

    return register


def one(rule, severity, subject, component, address, *read):
    """What is expected of one finding; `read` are parts of what it says it read."""
    return rule, severity, subject, component, address, read


def matches(finding, expected):
    *fields, read = expected
    told = finding.rule, finding.severity.value, finding.subject, finding.component, finding.address
    return told == tuple(fields) and all(part in finding.read for part in read)


def findings(said):
    """Findings of an Audit, or of a list of results that has nothing undecided."""
    results = getattr(said, "findings", said)
    assert all(isinstance(result, Finding) for result in results)
    return list(results)


# --- the header


@planted("XCOMP", M44, M44Eager, M510)
def xcomp_bv_set_by_ptrace(m):
    """CVE-2017-15537: PTRACE_SETREGSET wrote all ones, 520 bytes into the area."""
    yield m.audit(), []
    m.poke(m.bob, 520, b"\xff" * 8)
    yield m.audit(), [one("XCOMP", "error", BOB, "", m.at(m.bob) + 520, "xcomp_bv is 0xfff")]
    m.poke(m.bob, 520, b"\1" + bytes(7))
    yield m.audit(), [one("XCOMP", "error", BOB, "", m.at(m.bob) + 520, "xcomp_bv is 0x1,")]


@planted("XCOMP", M44, M510, M66, M49)
def reserved_bytes_of_the_header(m):
    for place in (528, 543, 575):
        yield m.audit(), []
        m.poke(m.bob, place, b"\4")
        read = f"from byte {place}"
        yield m.audit(), [one("XCOMP", "error", BOB, "", m.at(m.bob) + place, read)]
        m.poke(m.bob, place, b"\0")
    yield m.audit(), []


@planted("XCOMP", M44, M510, M49, M517)
def component_that_the_kernel_does_not_enable(m):
    yield m.audit(), []
    was = m.peek(m.bob, 512, 8)
    if m.snapshot().model.format == "compacted":  # a supervisor component that is not enabled
        m.xfeatures(m.bob, int.from_bytes(was, "little") | 1 << 10)
        yield (
            m.audit(),
            [
                one("XCOMP", "error", BOB, "", m.at(m.bob) + 512, "does not enable PASID"),
                one("XCOMP2", "error", BOB, "", m.at(m.bob) + 520, "no room for: PASID"),
            ],
        )
    m.xfeatures(m.bob, int.from_bytes(was, "little") | 1 << 5)
    found = [one("XCOMP", "error", BOB, "", m.at(m.bob) + 512, "does not enable opmask")]
    if m.snapshot().model.format == "compacted":  # and there is no room for it
        found.append(one("XCOMP2", "error", BOB, "", m.at(m.bob) + 520, "no room for: opmask"))
    yield m.audit(), found


@planted("XCOMP2", M49, M66, M616)
def area_without_bit_63(m):
    """4.8 and 4.9: a ptraced area came without (dffba9a31c77)."""
    yield m.audit(), []
    place = m.at(m.bob) + 520
    good = m.peek(m.bob, 520, 8)
    m.poke(m.bob, 520, bytes(8))
    yield m.audit(), [one("XCOMP2", "error", BOB, "", place, "xcomp_bv is 0x0, not 0x8")]
    m.poke(m.bob, 520, good[:7] + b"\0")
    yield m.audit(), [one("XCOMP2", "error", BOB, "", place)]
    m.poke(m.bob, 520, good)
    yield m.audit(), []


@planted("XCOMP2", M66, M616)
def component_in_use_that_xcomp_bv_has_no_room_for(m):
    """TILECFG, the last of the compacted area; fpstate.xfeatures, wrong too, agrees."""
    m.xfeatures(m.bob, 0x20207)
    yield m.audit(), []
    m.fpstate(m.bob, XFEATURES, 0xA07)
    m.poke(m.bob, 520, (COMPACTED | 0xA07).to_bytes(8, "little"))
    read = "xfeatures has what xcomp_bv has no room for: TILECFG"
    expected = [
        one("XCOMP2", "error", BOB, "", m.at(m.bob) + 520, read),
        one("AMXBUF", "error", BOB, "", m.at(m.bob) + 512, "xfeatures has TILECFG, which"),
    ]
    yield m.audit(), expected


@planted("XCOMP2", M66)
def area_of_another_size_than_its_fpstate_says(m):
    """Bit 18 in the task's xcomp_bv, where fpstate.xfeatures has none."""
    yield m.audit(), []
    m.poke(m.bob, 520, (COMPACTED | m.mask).to_bytes(8, "little"))
    yield m.audit(), [one("XCOMP2", "error", BOB, "", m.at(m.bob) + 520)]


@planted("SUPV", M44, M510, M517)
def supervisor_component_in_a_standard_image(m):
    for number, name in ((8, "PT"), (10, "PASID"), (11, "CET_U"), (12, "CET_S"), (13, "HDC"),
                         (14, "UINTR"), (15, "LBR"), (16, "HWP")):  # fmt: skip
        xfeatures = int.from_bytes(m.peek(m.bob, 512, 8), "little")
        yield m.audit(), []
        m.xfeatures(m.bob, xfeatures | 1 << number)
        yield m.audit(), [one("SUPV", "error", BOB, "", m.at(m.bob) + 512, f"has {name}")]
        m.xfeatures(m.bob, xfeatures)


@planted("SIZE", M517, M66, M616)
def area_that_ends_before_what_is_in_use(m):
    """fpstate.size is less than where AVX ends, byte 832."""
    m.poke(m.bob, m.avx, bytes(256))
    if isinstance(m, M517):
        m.xfeatures(m.bob, 7)
    yield m.audit(), []
    m.fpstate(m.bob, SIZE, 832, 4)
    in_use_behind = not isinstance(m, M517)  # PKRU, at 832 to 840
    word = "PKRU is in use and ends at byte 840, the area at 832"
    place = m.at(m.bob) + 512
    yield m.audit(), [one("SIZE", "error", BOB, "", place, word)] if in_use_behind else []
    m.xfeatures(m.bob, 7)
    yield m.audit(), []
    m.fpstate(m.bob, SIZE, 831, 4)
    word = "AVX is in use and ends at byte 832, the area at 831"
    yield m.audit(), [one("SIZE", "error", BOB, "", place, word)]
    m.xfeatures(m.bob, 3)
    yield m.audit(), []
    m.fpstate(m.bob, SIZE, 576, 4)
    yield m.audit(), []
    m.fpstate(m.bob, SIZE, 575, 4)
    word = "the area has 575 bytes, and no room for its header"
    yield m.audit(), [one("SIZE", "error", BOB, "", m.at(m.bob), word)]


@planted("SANOFF", M41Xsaves)
def compacted_area_under_the_old_sanitizer(m):
    address = m.target.symbols["__sanitize_i387_state"]
    m.forget("__sanitize_i387_state")
    yield m.audit(), []
    m.target.symbols["__sanitize_i387_state"] = address
    place = m.at(m.alice) + 520
    yield m.audit(), [one("SANOFF", "error", ALICE, "", place, "is 0x8000000000000007")]


# --- the legacy region


@planted("MXCSR", M44, M310, M49, M510, M66, M616)
def reserved_bit_of_mxcsr(m):
    """Bits 16 to 31: SDM volume 1, 10.2.3."""
    place = m.at(m.bob) + 24
    for value in (1 << 16, 1 << 31):
        m.poke(m.bob, 24, b"\xff\xff\0\0")
        yield m.audit(), []
        m.poke(m.bob, 24, (0x1F80 | value).to_bytes(4, "little"))
        read = f"bits {value:#x} are not in mxcsr_feature_mask (0xffff)"
        yield m.audit(), [one("MXCSR", "error", BOB, "SSE", place, read)]


@planted("MXCSR", M44)
def denormals_are_zeros_on_a_cpu_without(m):
    """A mask of 0 stands for 0xffbf, without DAZ: SDM volume 1, 11.6.6."""
    m.put("mxcsr_feature_mask", 0, 4)
    m.poke(m.bob, 24, b"\xbf\xff\0\0")
    yield m.audit(), []
    m.poke(m.bob, 24, b"\xc0\x1f\0\0")
    yield m.audit(), [one("MXCSR", "error", BOB, "SSE", m.at(m.bob) + 24, "bits 0x40 ", "0xffbf")]
    m.put("mxcsr_feature_mask", 0x40 | 0xFFBF, 4)
    yield m.audit(), []


VENDOR = SYMBOLS["boot_cpu_data"] + 1
KERNEL_ADDRESS = (0xFFFFFFFF81234567).to_bytes(8, "little")


@planted("AMDFIP", M44, M310, M510, M66)
def x87_pointers_that_amd_does_not_save(m):
    """CVE-2006-1056; FIP at byte 8, FDP at 16 of FXSAVE64's image."""
    vendors = {"Intel": 0, "AMD": 2, "Centaur": 5, "Hygon": 9}  # X86_VENDOR_*
    for vendor in (2, 9):
        for name, place in (("fip", 8), ("fdp", 16)):
            m.target.put_int(VENDOR, vendor, 1)
            yield m.audit(), []
            m.poke(m.bob, place, KERNEL_ADDRESS)
            found = [
                one(
                    *("AMDFIP", "warning", BOB, "x87", m.at(m.bob) + place),
                    f"{name} is 0xffffffff81234567",
                )
            ]
            yield m.audit(), found
            for number in (vendors["Intel"], vendors["Centaur"]):
                m.target.put_int(VENDOR, number, 1)
                yield m.audit(), []
            m.target.put_int(VENDOR, vendor, 1)
            yield m.audit(), found
            fsw = m.peek(m.bob, 2, 2)
            m.poke(m.bob, 2, bytes([fsw[0] | 0x80]) + fsw[1:])  # ES: an exception is pending
            yield m.audit(), []
            m.poke(m.bob, 2, bytes([0x7F]) + fsw[1:])  # all flags, none pending
            yield m.audit(), found
            m.poke(m.bob, 2, fsw)
            m.poke(m.bob, place, b"\x67\x45\x23\x81\xff\x7f\0\0")  # of user space: its own
            yield m.audit(), []
            m.poke(m.bob, place, bytes(8))


@planted("AMDFIP", M44)
def x87_pointers_that_newer_amd_saves(m):
    """X86_FEATURE_XSAVEERPTR is 13*32+2: arch/x86/include/asm/cpufeatures.h."""
    word = SYMBOLS["boot_cpu_data"] + 12 + 4 * 13
    m.target.put_int(VENDOR, 2, 1)
    m.poke(m.bob, 8, KERNEL_ADDRESS)
    m.target.put_int(word, 1 << 2, 4)
    yield m.audit(), []
    m.target.put_int(word, EVERY & ~4, 4)
    yield m.audit(), [one("AMDFIP", "warning", BOB, "x87", m.at(m.bob) + 8)]


@planted("INITBUF", M44, M510, M66, M310)
def initial_image_that_xsaveopt_wrote(m):
    """f9dfb5e390fa: FCW and MXCSR 0, as no save of an initial state writes them."""
    base = ELSEWHERE if isinstance(m, M310) else SYMBOLS["init_fpstate"]
    base += 64 if isinstance(m, M66) else 0
    yield m.audit(), []
    m.target.put(base, bytes(2))
    fcw = one("INITBUF", "error", "init_fpstate", "", base, "fcw is 0x0, not 0x37f")
    yield m.audit(), [fcw]
    m.target.put(base + 24, bytes(4))
    mxcsr = one("INITBUF", "error", "init_fpstate", "", base + 24, "mxcsr is 0x0, not 0x1f80")
    yield m.audit(), [fcw, mxcsr]
    m.target.put(base, b"\x7f\x03")
    yield m.audit(), [mxcsr]
    m.target.put(base + 24, b"\x80\x1f\0\0")
    m.target.put(base + 600, b"\1\0\2")
    read = "2 bytes of component 2 are not zero, from byte 600"
    yield m.audit(), [one("INITBUF", "error", "init_fpstate", "", base + 600, read)]


# --- what is stale


@planted("STALE", M44, M44Eager, M310)
def component_behind_a_cleared_bit_is_copied_raw(m):
    """Up to 4.7 xstateregs_get copies the area as it is."""
    m.poke(m.bob, 576, bytes(256))
    m.xfeatures(m.bob, 3)
    yield m.audit(), []
    m.poke(m.bob, 600, b"\1\2\3\0\4")
    read = "4 of 256 bytes are not initial, from byte 600; the header's bit 2 is clear"
    yield m.audit(), [one("STALE", "error", BOB, "AVX", m.at(m.bob) + 600, read)]
    m.poke(m.bob, 600, bytes(5))
    m.poke(m.bob, 831, b"\1")
    yield m.audit(), [one("STALE", "error", BOB, "AVX", m.at(m.bob) + 831, "1 of 256")]
    m.xfeatures(m.bob, 7)
    yield m.audit(), []


@planted("STALE", M49, M510, M66, M616)
def component_behind_a_cleared_bit_is_cleaned_on_its_way(m):
    """From 4.8 on it is cleaned on its way out: a note."""
    m.poke(m.bob, 576, bytes(256))
    m.xfeatures(m.bob, 0x203)
    yield m.audit(), []
    m.poke(m.bob, 576, b"\1")
    read = "1 of 256 bytes are not initial, from byte 576; the header's bit 2 is clear"
    yield m.audit(), [one("STALE", "note", BOB, "AVX", m.at(m.bob) + 576, read)]


@planted("STALE", M44)
def x87_and_sse_behind_cleared_bits(m):
    """FCW, and the two registers on the stack; padding, MXCSR and its mask are no residue."""
    m.xfeatures(m.bob, 6)
    m.poke(m.bob, 0, bytes(24))
    m.poke(m.bob, 32, bytes(128))
    m.poke(m.bob, 24, b"\xff\xff\0\0\xff\xff\0\0")
    for pad in (5, 42, 47, 159):
        m.poke(m.bob, pad, b"\7")
    yield m.audit(), []
    m.poke(m.bob, 0, b"\x7f\x03")  # the initial FCW
    yield m.audit(), []
    m.poke(m.bob, 0, b"\x7f\x02")
    yield m.audit(), [one("STALE", "error", BOB, "x87", m.at(m.bob) + 1, "1 of 160", "byte 1;")]
    m.poke(m.bob, 0, b"\x7f\x03")
    m.poke(m.bob, 41, b"\1")
    yield m.audit(), [one("STALE", "error", BOB, "x87", m.at(m.bob) + 41, "1 of 160")]
    m.poke(m.bob, 41, bytes(1))
    m.xfeatures(m.bob, 5)
    read = "256 of 256 bytes are not initial, from byte 160; the header's bit 1"
    yield m.audit(), [one("STALE", "error", BOB, "SSE", m.at(m.bob) + 160, read)]


@planted("STALE", M44, M510)
def stale_bytes_of_a_task_named(m):
    """Whose they are: 16-byte lanes that no chance would repeat."""
    yield m.audit(), []
    m.xfeatures(m.bob, 3 if isinstance(m, M44) else 0x203)
    m.poke(m.bob, 576, pattern("carol", "AVX", 64) + bytes(192))
    severity = "error" if isinstance(m, M44) else "note"
    read = "64 of 256", "; 64 bytes equal AVX of carol (pid 12)"
    yield m.audit(), [one("STALE", severity, BOB, "AVX", m.at(m.bob) + 576, *read)]
    m.poke(m.bob, 576, pattern("alice", "AVX", 112)[16:] + pattern("carol", "AVX", 64))
    read = "160 of 256", "; 96 bytes equal AVX of alice (pid 10)"
    yield m.audit(), [one("STALE", severity, BOB, "AVX", m.at(m.bob) + 576, *read)]


@planted("STALE", M44)
def stale_bytes_of_registers_in_a_cpu(m):
    """alice's registers are in CPU 0, and her area has older ones."""
    m.target.fpu[0] = {"xmm5": pattern("live", "", 16), "fcw": b"\x7f\x03"}
    m.xfeatures(m.bob, 5)
    m.poke(m.bob, 160, bytes(256))
    yield m.audit(), []
    m.poke(m.bob, 176, pattern("live", "", 16))
    read = "16 of 256", "; 16 bytes equal SSE of alice (pid 10)"
    yield m.audit(), [one("STALE", "error", BOB, "SSE", m.at(m.bob) + 176, *read)]


@planted("STALE", M44)
def registers_that_prove_nothing(m):
    """Those of a CPU hold x87 and SSE only, and only of a task whose registers are loaded."""
    m.target.fpu[0] = {"xmm5": pattern("live", "", 16), "st0": pattern("live", "st", 10)}
    m.poke(m.bob, 576, bytes(256))
    m.xfeatures(m.bob, 3)
    yield m.audit(), []
    m.poke(m.bob, 576, pattern("live", "", 16))
    (found,) = m.audit()
    assert "equal" not in found.read
    m.xfeatures(m.bob, 5)
    m.poke(m.bob, 160, pattern("live", "", 16) + bytes(240))
    (found,) = m.audit()
    assert found.read.endswith("; 16 bytes equal SSE of alice (pid 10)")
    m.in_fpu(m.alice, 5, 0, 1)
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), 0)
    (found,) = m.audit()
    assert "equal" not in found.read
    yield m.audit(), [one("STALE", "error", BOB, "SSE", m.at(m.bob) + 160, "16 of 256")]


@planted("STALE", M44)
def x87_registers_in_a_cpu(m):
    """Ten bytes there, sixteen in the area."""
    m.target.fpu[0] = {"st0": pattern("live", "st", 10)}
    for start, length in ((0, 24), (32, 128)):
        m.poke(m.bob, start, bytes(length))
    m.xfeatures(m.bob, 6)
    yield m.audit(), []
    m.poke(m.bob, 48, pattern("live", "st", 10))
    read = "10 of 160", "; 16 bytes equal x87 of alice (pid 10)"
    yield m.audit(), [one("STALE", "error", BOB, "x87", m.at(m.bob) + 48, *read)]


@planted("STALE", M44)
def lanes_that_any_task_may_have(m):
    """Four bytes that are not zero at either end, and three different ones, tell an owner."""
    m.xfeatures(m.bob, 3)
    m.poke(m.bob, 576, bytes(256))
    yield m.audit(), []
    for lane, telling in (
        (b"\1\2\3\4", True),
        (b"\1\2\3", False),
        (b"\1\0\0\2", True),
        (b"\1\1\1\1", False),
        (b"\1\1\1\1" * 4, False),
        (b"\1\2" * 8, False),
        (b"\1\2" * 7 + b"\1\3", True),
        (b"\0" * 12 + b"\1\2\3\4", True),
    ):
        m.poke(m.carol, 592, lane.ljust(16, b"\0"))
        m.poke(m.bob, 592, lane.ljust(16, b"\0"))
        (found,) = m.audit()
        owner = "; 16 bytes equal AVX of carol (pid 12)"
        assert found.read.endswith(owner) is telling, lane
        assert ("equal" in found.read) is telling
    yield m.audit(), [one("STALE", "error", BOB, "AVX", m.at(m.bob) + 604, "4 of 256")]


@planted("STALE", M41Xsaves)
def stale_bytes_where_others_have_no_area(m):
    """Two tasks never used the FPU: there is nothing of theirs to compare with."""
    m.forget("__sanitize_i387_state")
    yield m.audit(), []
    m.xfeatures(m.alice, 3)
    read = "256 of 256"
    yield m.audit(), [one("STALE", "error", ALICE, "AVX", m.at(m.alice) + 576, read)]


# --- who owns the registers


@planted("FLAGS", M44, M44Eager, M49)
def loaded_registers_of_a_task_that_sleeps(m):
    yield m.audit(), []
    m.in_fpu(m.bob, 5, 1, 1)
    read = "fpregs_active is set in a task that does not run"
    yield m.audit(), [one("FLAGS", "error", BOB, "", m.fpu(m.bob), read)]


@planted("FLAGS", M310)
def loaded_registers_of_a_task_that_sleeps_up_to_4_1(m):
    yield m.audit(), []
    m.in_fpu(m.bob, 4, 1, 4)
    read = "has_fpu is set in a task that does not run"
    yield m.audit(), [one("FLAGS", "error", BOB, "", m.fpu(m.bob), read)]


@planted("FLAGS", M44, M44Eager)
def loaded_registers_without_a_state(m):
    yield m.audit(), []
    m.in_fpu(m.alice, 4, 0, 1)
    read = "fpregs_active is set, fpstate_active is not"
    yield m.audit(), [one("FLAGS", "error", ALICE, "", m.fpu(m.alice), read)]


@planted("OWNER", M44, M49, M510, M66, M616)
def registers_of_another_owner(m):
    """CVE-2019-19602: fpu_fpregs_owner_ctx was another task's."""
    yield m.audit(), []
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), m.fpu(m.bob))
    read = f"CPU 0, whose owner is {m.fpu(m.bob):#x}, not {m.fpu(m.alice):#x}"
    yield m.audit(), [one("OWNER", "error", ALICE, "", m.fpu(m.alice), read)]
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), 0)
    yield m.audit(), [one("OWNER", "error", ALICE, "", m.fpu(m.alice), "owner is 0x0")]


@planted("OWNER", M310)
def registers_of_another_task_up_to_4_1(m):
    yield m.audit(), []
    m.target.put_int(m.in_cpu("fpu_owner_task", 0), m.bob)
    read = f"CPU 0, whose owner is {m.bob:#x}, not {m.alice:#x}"
    yield m.audit(), [one("OWNER", "error", ALICE, "", m.fpu(m.alice), read)]


@planted("OWNER", M510, M66, M616)
def registers_that_last_were_in_another_cpu(m):
    """fpregs_state_valid(): owner and last_cpu, 5.2 on."""
    yield m.audit(), []
    m.in_fpu(m.alice, 0, 1, 4)
    read = "loaded in CPU 0, but last_cpu is 1"
    yield m.audit(), [one("OWNER", "error", ALICE, "", m.fpu(m.alice), read)]


@planted("TWICE", M44, M44Eager, M310, M49, M510, M66)
def one_task_on_two_cpus(m):
    yield m.audit(), []
    m.world.run(m.alice, 1, active=False)
    read = "CPUs 0 and 1 run it at once"
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
    read = f"{name} says that kernel code has the FPU of CPU 0, and TIF_NEED_FPU_LOAD is clear"
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
    read = f"{name} says that kernel code has the FPU of CPU 0, which is in user mode"
    yield m.audit(), [one("KERNFPU", "error", ALICE, "", m.fpu(m.alice), read)]
    m.target.put_int(m.in_cpu(name, 0), name != "in_kernel_fpu", 1)
    yield m.audit(), []


# --- struct fpstate


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
    read = "its fpstate is fpu.__fpstate, and is_valloc or is_guest is set"
    yield m.audit(), [one("AMXBUF", "error", BOB, "", start, read)]
    m.fpstate(m.bob, BITS, 0, 4)
    m.fpstate(m.carol, BITS, 0, 4)
    read = "its fpstate is elsewhere, and is_valloc or is_guest is clear"
    place = ELSEWHERE + 0x100000
    yield m.audit(), [one("AMXBUF", "error", CAROL, "", place, read)]


@planted("AMXBUF", M517)
def component_without_room(m):
    """Tile data in use, and no area for it: 5.16 on allocates it at first use."""
    m.fpstate(m.bob, XFD, 0)
    m.xfeatures(m.bob, 0x207)
    yield m.audit(), []
    m.fpstate(m.bob, XFEATURES, 3)
    read = "xfeatures has AVX|PKRU, which fpstate.xfeatures has no room for"
    yield m.audit(), [one("AMXBUF", "error", BOB, "", m.at(m.bob) + 512, read)]
    m.fpstate(m.bob, XFEATURES, 0x207)
    yield m.audit(), []


@planted("XFD1", M66, M517, M616)
def cached_xfd_that_is_not_the_tasks(m):
    """CVE-2024-35801: xfd_state stays behind after CPU hotplug."""
    place = m.in_cpu("xfd_state", 0)
    yield m.audit(), []
    m.target.put_int(place, 0)
    read = "xfd_state of CPU 0 is 0x0, fpstate.xfd 0x40000"
    found = [one("XFD1", "error", ALICE, "", place, read)]
    yield m.audit(), found
    m.tif(m.alice, True)  # loaded with the registers, at the return to user mode
    yield m.audit(), []
    m.tif(m.alice, False)
    yield m.audit(), found
    m.fpstate(m.alice, XFD, 0)
    yield m.audit(), []


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
    read = "is_guest is 1, in_use 0, and __task_fpstate is set"
    yield m.audit(), [one("GUEST", "error", BOB, "", place, read)]
    m.target.put_int(guest + BITS, IS_GUEST | IN_USE, 4)
    m.in_fpu(m.bob, TASK_FPSTATE, 0)
    read = "is_guest is 1, in_use 1, and __task_fpstate is NULL"
    yield m.audit(), [one("GUEST", "error", BOB, "", place, read)]
    m.in_fpu(m.bob, FPSTATE_AT, own)
    yield m.audit(), []
    m.in_fpu(m.bob, TASK_FPSTATE, own)
    read = "is_guest is 0, in_use 0, and __task_fpstate is set"
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
    read = "xfeatures has CET_U, and thread.features has no shadow stack"
    yield m.audit(), [one("SSP", "error", BOB, "CET_U", m.at(m.bob) + 512, read)]
    m.target.put_int(m.bob + FEATURES, 3)
    yield m.audit(), []
    m.poke(m.bob, SSP_AT, KERNEL_ADDRESS)
    read = "ssp is 0xffffffff81234567, no user address"
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


# --- signal frames


def user_frame(m, xfeatures=None, *, ia32=False, avx=None):
    """The frame of the machine's kernel: size, components and PKRU's place."""
    if isinstance(m, M44):
        size, mask, more = 832, 7, {}
    elif isinstance(m, M66):
        size, mask, more = 2816, m.default & ~0x800, {2688: DEFAULT_PKRU.to_bytes(4, "little")}
    else:
        size, mask, more = 2696, 0x207, {2688: DEFAULT_PKRU.to_bytes(4, "little")}
    avx = pattern("alice", "AVX", 256) if avx is None else avx
    used = mask & 0x207 if xfeatures is None else xfeatures
    return frame(size, mask, used, {576: avx, **more}, ia32=ia32)


def seen(m, image, before=True, **more):
    """Findings about a frame that was written from what the machine's alice has in memory."""
    was = m.peek(m.alice, 0, 832) if before else b""
    said = m.frame(bytes(image), before=was if isinstance(m, M44) else b"", **more)
    undecided = {one.rule for one in said.undecided}
    assert undecided == (set() if isinstance(m, M44) else {"FRAMEDIFF"})
    return said.findings


@planted("FRAME", M44, M510, M66, M49)
def frame_that_lies_about_itself(m):
    for ia32 in (False, True):
        base = 112 if ia32 else 0
        image = user_frame(m, ia32=ia32)
        size = len(image) - base - 4
        yield seen(m, image), []

        def lie(offset, data, image=image, base=base):
            copy = bytearray(image)
            copy[base + offset : base + offset + len(data)] = data
            return copy

        def told(offset, *read, base=base):
            return one("FRAME", "error", ALICE, "", STACK + base + offset, *read)

        yield seen(m, lie(size, bytes(4))), [told(464, "FP_XSTATE_MAGIC2 is missing: 0x0")]
        yield seen(m, image[:-4]), [told(464, "ends before FP_XSTATE_MAGIC2")]
        yield seen(m, lie(468, bytes(4))), [told(464, "extended_size is 0, not")]
        mask = int.from_bytes(image[base + 472 : base + 480], "little")
        yield (
            seen(m, lie(472, b"\3" + bytes(7))),
            [told(472, f"is 0x3, the task's are {mask:#x}")],
        )
        yield (
            seen(m, lie(520, (COMPACTED | 7).to_bytes(8, "little"))),
            [told(520, "xcomp_bv is 0x8000000000000007, reserved bytes zero")],
        )
        yield seen(m, lie(575, b"\1")), [told(520, "xcomp_bv is 0x0, reserved bytes not zero")]
        xfeatures = int.from_bytes(image[base + 512 : base + 520], "little")
        yield (
            seen(m, lie(512, (xfeatures | 1 << 5).to_bytes(8, "little"))),
            [told(512, "xfeatures has opmask, which user space may not see")],
        )
    yield seen(m, user_frame(m)), []


@planted("FRAME", M510)
def frame_of_another_size(m):
    """CVE-2024-26603: xstate_size is the user's to write."""
    image = user_frame(m)
    yield seen(m, image), []
    image[480:484] = (832).to_bytes(4, "little")
    expected = [
        one("FRAME", "error", ALICE, "", STACK + 464, "FP_XSTATE_MAGIC2 is missing"),
        one("FRAME", "error", ALICE, "", STACK + 464, "extended_size is 2700, not 836"),
        one("FRAME", "error", ALICE, "", STACK + 480, "is 832, the task's user images have 2696"),
    ]
    yield seen(m, image), expected
    image[480:484] = b"\xff" * 4
    expected = [
        one("FRAME", "error", ALICE, "", STACK + 464, "promises 4294967295 bytes"),
        one("FRAME", "error", ALICE, "", STACK + 464, "extended_size is 2700, not 4294967299"),
        one("FRAME", "error", ALICE, "", STACK + 480, "xstate_size is 4294967295"),
    ]
    yield seen(m, image), expected


@planted("FRAME", M44, M510)
def frame_without_extended_state(m):
    image = user_frame(m)
    yield seen(m, image), []
    image[464:468] = bytes(4)
    read = "magic1 is 0x0, not 0x46505853"
    yield (
        m.frame(bytes(image[:512])).findings,
        [one("FRAME", "error", ALICE, "", STACK + 464, read)],
    )


@planted("SUPV", M44, M510, M66)
def supervisor_component_in_a_frame(m):
    image = user_frame(m)
    yield seen(m, image), []
    image[513] |= 8
    read = "xfeatures has CET_U, which user space may not see"
    yield seen(m, image), [one("SUPV", "error", ALICE, "", STACK + 512, read)]


@planted("FRAME32", M44, M510)
def frame_of_32_bits_without_extended_state(m):
    """ab6b52947545: fx_sw_reserved_ia32 was left zero."""
    m.functions("fx_sw_reserved_ia32")
    image = user_frame(m, ia32=True)
    yield seen(m, image), []
    image[112 + 464 : 112 + 512] = bytes(48)
    read = "a 32-bit frame has no FP_XSTATE_MAGIC1: 0x0"
    expected = [one("FRAME32", "error", ALICE, "", STACK + 112 + 464, read)]
    yield m.frame(bytes(image), registers={"fcw": b"\x7f\x03"}).findings, expected


@planted("FRAMESTALE", M44, M510, M66)
def stale_bytes_on_the_user_stack(m):
    for ia32, base in ((False, 0), (True, 112)):
        m.xfeatures(m.alice, 3)
        image = user_frame(m, 3 if isinstance(m, M44) else 0x203, avx=bytes(256), ia32=ia32)
        yield seen(m, image), []
        image[base + 831] = 9
        read = "1 of 256 bytes of AVX are not initial, and the frame's bit 2 is clear"
        expected = [one("FRAMESTALE", "error", ALICE, "AVX", STACK + base + 831, read)]
        yield seen(m, image), expected


@planted("FRAMEPAST", M44, M510)
def bytes_behind_the_frame(m):
    image = user_frame(m)
    past = pattern("stack", "", 64)
    yield seen(m, image, past=(past, past)), []
    after = past[:10] + bytes([past[10] ^ 1]) + past[11:-1] + bytes([past[-1] ^ 1])
    place = len(image) + 10
    read = f"2 bytes behind the frame changed, from byte {place}"
    expected = [one("FRAMEPAST", "error", ALICE, "", STACK + place, read)]
    yield seen(m, image, past=(past, after)), expected
    said = m.frame(bytes(image), past=(b"", past))
    assert "FRAMEPAST" in {undecided.rule for undecided in said.undecided}
    assert said.findings == ()


@planted("FRAMEDIFF", M44)
def frame_that_is_not_what_memory_had(m):
    """Each component at its last byte; what no instruction loads does not count."""
    for offset, name, start in ((600, "AVX", 576), (831, "AVX", 576), (415, "SSE", 160),
                                (41, "x87", 0), (0, "x87", 0), (23, "x87", 0),
                                (4, "x87", 0)):  # fmt: skip
        for base in (0, 112):
            image = user_frame(m, ia32=bool(base))
            yield seen(m, image), []
            image[base + offset] ^= 1
            read = f"{name} is not what the task's memory had at entry"
            expected = [one("FRAMEDIFF", "error", ALICE, name, STACK + base + start, read)]
            yield seen(m, image), expected
    for pad in (5, 42, 47, 159, 430, 490):
        image = user_frame(m)
        image[pad] ^= 1
        yield seen(m, image), []
    m.xfeatures(m.alice, 3)  # AVX was not in use: the sanitizer cleans it
    yield seen(m, user_frame(m, 7, avx=bytes(256))), []


@planted("FRAMEDIFF", M510, M44)
def frame_that_is_not_what_the_cpu_had(m):
    """Where the registers were in a CPU, those that the stub shows."""
    shown = {"xmm3": pattern("alice", "xmm", 256)[48:64], "mxcsr": b"\x80\x1f\0\0",
             "st1": pattern("alice", "st1", 10), "fcw": b"\x7f\x03"}  # fmt: skip
    places = {"xmm3": (208, "SSE"), "mxcsr": (24, "SSE"), "st1": (48, "x87"), "fcw": (0, "x87")}
    image = user_frame(m)
    yield m.frame(bytes(image), registers=shown).findings, []
    for name, (place, component) in places.items():
        other = {**shown, name: shown[name][:-1] + b"\x99"}
        read = f"{name} is not what the CPU had at entry"
        expected = [one("FRAMEDIFF", "error", ALICE, component, STACK + place, read)]
        yield m.frame(bytes(image), registers=other).findings, expected


# --- when functions return


@planted("SANITIZE", M44, M510)
def sanitizer_that_leaves_bytes(m):
    m.xfeatures(m.bob, 3 if isinstance(m, M44) else 0x203)
    m.poke(m.bob, 576, bytes(256))
    yield m.follow("sanitize", m.bob), []
    m.poke(m.bob, 700, b"\1")
    expected = [one("SANITIZE", "error", BOB, "AVX", m.at(m.bob) + 700, "1 of 256")]
    yield m.follow("sanitize", m.bob), expected


@planted("FORK", M44, M510, M66)
def child_with_stale_bytes(m):
    severity = "error" if isinstance(m, M44) else "note"
    yield m.follow("fork", m.bob), []
    m.xfeatures(m.bob, 3 if isinstance(m, M44) else 0x203)
    read = "256 of 256"
    expected = [one("FORK", severity, f"a child of {BOB}", "AVX", m.at(m.bob) + 576, read)]
    yield m.follow("fork", m.bob), expected


@planted("EXEC", M44, M44Eager, M310)
def program_with_its_predecessors_bytes(m):
    """b22cbe404a9c: up to 4.8 exec loads initial registers, and leaves memory as it was."""
    for start, length in ((0, 24), (32, 384), (576, 256)):
        m.poke(m.bob, start, bytes(length))
    m.poke(m.bob, 0, b"\x7f\x03")
    for xfeatures in (0, 7):  # which the next save overwrites
        m.xfeatures(m.bob, xfeatures)
        yield m.follow("exec", m.bob), []
        m.poke(m.bob, 160, b"\0\3\3")
        m.poke(m.bob, 831, b"\1")
        sse = "2 of 256 bytes are the old program's, from byte 161"
        avx = "1 of 256 bytes are the old program's, from byte 831"
        expected = [
            one("EXEC", "error", BOB, "SSE", m.at(m.bob) + 161, sse),
            one("EXEC", "error", BOB, "AVX", m.at(m.bob) + 831, avx),
        ]
        yield m.follow("exec", m.bob), expected
        m.poke(m.bob, 160, bytes(3))
        m.poke(m.bob, 831, bytes(1))
    yield m.follow("exec", m.bob), []


@planted("EXEC", M510, M66)
def program_with_stale_bytes(m):
    """Where nothing exports it raw, what is in use is overwritten by the next save."""
    yield m.follow("exec", m.bob), []
    m.xfeatures(m.bob, 0x203)
    expected = [one("EXEC", "note", BOB, "AVX", m.at(m.bob) + 576, "256 of 256")]
    yield m.follow("exec", m.bob), expected


@planted("SIGREST", M510, M44, M66)
def sigreturn_that_took_what_it_should_refuse(m):
    """CVE-2021-47227: the user's frame went into the kernel's area as it was."""
    yield m.follow("sigreturn", m.alice), []
    m.poke(m.alice, 528, b"\1")
    read = "reserved bytes are not zero, from byte 528"
    expected = [one("SIGREST", "error", ALICE, "", m.at(m.alice) + 528, read)]
    yield m.follow("sigreturn", m.alice), expected
    m.poke(m.alice, 528, b"\0")
    m.poke(m.alice, 26, b"\1")
    expected = [one("SIGREST", "error", ALICE, "SSE", m.at(m.alice) + 24, "bits 0x10000 ")]
    yield m.follow("sigreturn", m.alice), expected
    m.poke(m.alice, 26, b"\0")
    yield m.follow("sigreturn", m.alice), []


@planted("SIGREST", M510, M66)
def sigreturn_that_leaves_another_owners_registers(m):
    """CVE-2021-47226: XRSTOR failed half way, and the registers still count as someone's."""
    yield m.follow("sigreturn", m.alice), []
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), m.fpu(m.carol))
    expected = [one("SIGREST", "error", ALICE, "", m.fpu(m.alice), "loaded in CPU 0")]
    yield m.follow("sigreturn", m.alice), expected
    yield m.follow("sigreturn", m.bob), []  # who does not run


@planted("RESTOREGP", M510, M66)
def state_that_the_cpu_refuses(m):
    """Its passage is the defect: the clean twin is an audit of the same memory."""
    yield m.audit(m.alice), []
    read = "the CPU refused to load a state; the task's area has xfeatures 0x207, xcomp_bv 0x"
    expected = [one("RESTOREGP", "error", ALICE, "", m.at(m.alice), read)]
    yield m.follow("fault", m.alice), expected


DEFECTS = [
    pytest.param(rule, plant, machine, id=f"{plant.__name__}-{machine.__name__}")
    for rule, plants in PLANTED.items()
    for plant, machine in plants
]


EVIDENCE = {"XCOMP": 8, "XCOMP2": 8, "SUPV": 8, "SIZE": 8, "SANOFF": 8, "MXCSR": 4, "AMDFIP": 8}
"""How many bytes of evidence rules give, from the address on."""


def assert_evidence(m, finding):
    """Hold the bytes that a finding shows to the memory it is about."""
    evidence = finding.evidence
    if STACK <= finding.address < STACK + 4096:
        at = finding.address - STACK
        assert evidence == m.shown[at : at + 64]
    elif finding.rule in ("STALE", "SANITIZE", "FORK", "EXEC"):
        assert len(evidence) == int(finding.read.split(" ")[0])
        there = m.target.read_memory(finding.address, 1)
        assert evidence[:1] == there != b"\0"
        assert b"\0" not in evidence
    elif "reserved bytes" in finding.read:
        place = int(finding.read.split("from byte ")[1])
        assert evidence == m.target.read_memory(finding.address - place + 528, 48)
    else:
        size = (
            0
            if "no room for its header" in finding.read
            else EVIDENCE.get(finding.rule, 4 if finding.component == "SSE" else 0)
        )
        assert evidence == (m.target.read_memory(finding.address, size) if size else b"")


@pytest.mark.parametrize(("rule", "plant", "machine"), DEFECTS)
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    m, rules = machine(), []
    for number, (said, expected) in enumerate(plant(m)):
        found = findings(said)
        told = [
            (f.rule, f.severity.value, f.subject, f.component, hex(f.address), f.read)
            for f in found
        ]
        assert len(found) == len(expected), (number, told)
        assert number or not expected  # the clean twin
        for finding, wanted in zip(found, expected, strict=True):
            assert matches(finding, wanted), (number, told, wanted)
            assert_evidence(m, finding)
            rules.append(finding.rule)
    assert rule in rules


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_a_planted_defect(rule):
    assert PLANTED[rule.name], f"nobody showed that {rule.name} finds anything"


def test_only_rules_are_planted():
    assert {rule for rule, plants in PLANTED.items() if plants} == {rule.name for rule in RULES}
    assert len({rule.name for rule in RULES}) == len(RULES)


# --- what is not a defect


def test_pkru_that_the_kernel_does_not_save_is_in_no_state():
    m = M510()
    m.put("xfeatures_mask_all", 7)
    for task in (m.alice, m.bob, m.carol):
        m.xfeatures(task, 7)
    assert m.audit() == ()


@pytest.mark.parametrize(("size", "found"), [(40, True), (52, True), (56, False), (76, False)])
def test_xsaveerptr_is_believed_where_there_is_a_word_for_it(size, found):
    """Word 13, the fourteenth, is not in x86_capability before 4.7."""
    m = M510()
    m.target.put_int(VENDOR, 2, 1)
    m.poke(m.bob, 8, KERNEL_ADDRESS)
    m.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 52, 4, 4)
    whole = m.layouts
    cpu = struct("cpuinfo_x86", 200, ("x86_vendor", 1, 1), ("x86_capability", 12, size))
    m.layouts = Layouts(
        cpu if name == "cpuinfo_x86" else whole.struct(name) for name in whole.names()
    )
    assert [f.rule for f in m.audit()] == ["AMDFIP"] * found


@pytest.mark.parametrize("gone", ["boot_cpu_data", "cpuinfo_x86", "x86_vendor", "x86_capability"])
def test_a_kernel_that_does_not_tell_its_cpus_is_not_taken_for_amds(gone):
    m = M510()
    m.target.put_int(VENDOR, 2, 1)
    m.poke(m.bob, 8, KERNEL_ADDRESS)
    members = {"x86_vendor": ("x86_vendor", 1, 1), "x86_capability": ("x86_capability", 12, 76)}
    members.pop(gone, None)
    cpu = [struct("cpuinfo_x86", 200, *members.values())] if gone != "cpuinfo_x86" else []
    others = [m.layouts.struct(name) for name in m.layouts.names() if name != "cpuinfo_x86"]
    m.layouts = Layouts([*others, *cpu])
    if gone == "boot_cpu_data":
        m.forget(gone)
    assert m.audit() == ()


def test_each_word_of_the_initial_image_is_told_by_itself():
    m = M510()
    place = SYMBOLS["init_fpstate"]
    m.target.put(place + 2, b"\1")
    (found,) = m.audit()
    assert (found.address, found.read) == (
        place + 2,
        "1 bytes of component 0 are not zero, from byte 2",
    )
    m.target.put(place + 2, b"\0")
    m.target.put(place + 576, DEFAULT_PKRU.to_bytes(4, "little"))  # in AVX it is no default
    (found,) = m.audit()
    assert found.read == "4 bytes of component 2 are not zero, from byte 576"


def test_a_32_bit_frame_of_a_cpu_without_xsave():
    m = M44()
    m.put("xfeatures_mask", 0)
    m.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    image = frame(512, 3, 3, {}, ia32=True)
    image[112 + 464 : 112 + 512] = bytes(48)
    assert m.frame(bytes(image), registers={"fcw": b"\x7f\x03"}).findings == ()


def test_a_refused_state_without_a_header():
    m = M44()
    m.put("xfeatures_mask", 0)
    m.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    (found,) = m.follow("fault", m.alice)
    assert found.read == "the CPU refused to load a state; the task's area has no XSAVE header"


def test_an_audit_of_a_frame_is_of_one_task():
    m = M44()
    said = m.frame(bytes(user_frame(m)), registers={"fcw": b"\x7f\x03"})
    assert (said.tasks, said.verdict, said.undecided) == (1, "clean", ())


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
    assert [f.rule for f in m.audit()] == ["SSP"]
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


def test_kernel_use_where_the_stub_shows_no_registers():
    m = M510()
    m.tif(m.alice, True)
    m.target.put_int(m.in_cpu("in_kernel_fpu", 0), 1, 1)
    del m.target.registers["rip"]
    assert m.audit() == ()
    m.target.registers["rip"] = 0x401000
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
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), m.fpu(m.bob))
    assert [f.rule for f in m.audit()] == ["OWNER"]
    m.target.put_int(m.alice + FLAGS, flag, 4)
    assert m.audit() == ()
    m.target.put_int(m.alice + FLAGS, EVERY & ~0x204014, 4)
    assert [f.rule for f in m.audit()] == ["OWNER"]


def test_a_task_that_never_used_the_fpu_has_nothing_stale():
    """Lazily switched, its area is what its parent had: it means nothing."""
    m = M44()
    m.xfeatures(m.carol, 0)
    assert {f.rule for f in m.audit()} == {"STALE"}
    m.in_fpu(m.carol, 4, 0, 1)
    assert m.audit() == ()
    m.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)  # eager: it counts
    assert {f.rule for f in m.audit()} == {"STALE"}


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
    assert [u.subject for u in said.undecided if u.rule == "UABI"] == ["every CPU", ALICE]


def test_pkru_in_thread_pkru_leaves_its_place_unused():
    """954436989cc5 (5.14): what the area has there is nobody's."""
    m = M66()
    m.xfeatures(m.bob, 7)
    assert m.peek(m.bob, 832, 4) == bytes(4)
    m.poke(m.bob, 832, DEFAULT_PKRU.to_bytes(4, "little"))
    assert m.audit() == ()
    m = M49()
    m.xfeatures(m.bob, 7)
    assert [(f.rule, f.component) for f in m.audit()] == [("STALE", "PKRU")]


def test_pkru_of_the_initial_image_is_the_kernels_default():
    """5.2 to 5.13: setup_pku() writes init_pkru_value to init_fpstate (commit a5eff7259790)."""
    m = M510()
    place = SYMBOLS["init_fpstate"] + 2688
    m.target.put(place, DEFAULT_PKRU.to_bytes(4, "little"))
    assert m.audit() == ()
    m.target.put(place, (DEFAULT_PKRU ^ 1).to_bytes(4, "little"))
    assert [(f.rule, f.address) for f in m.audit()] == [("INITBUF", place)]
    m.target.put(place, DEFAULT_PKRU.to_bytes(4, "little"))
    m.forget("init_pkru_value")
    assert [(f.rule, f.address) for f in m.audit()] == [("INITBUF", place)]


def test_offline_cpus_run_nothing():
    m = M510()
    mask = m.put("__cpu_online_mask", 1)
    m.world.run(m.alice, 1, active=False)
    assert m.audit() == ()
    m.target.put_int(mask, 3)
    assert [f.rule for f in m.audit()] == ["TWICE"]


def test_fxsave_kernel():
    """No header, no rule on one; stale bytes cannot be told there."""
    m = M44()
    m.put("xfeatures_mask", 0)
    m.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    m.poke(m.bob, 512, header(0, EVERY))
    assert m.audit() == ()
    m.poke(m.bob, 26, b"\1")
    assert [f.rule for f in m.audit()] == ["MXCSR"]
    image = bytes(frame(512, 0, 0, {}))[:512]
    assert m.frame(image[:464] + bytes(48), registers={"fcw": b"\x7f\x03"}).findings == ()


def test_current_tasks_of_both_cpus_are_checked():
    m = M510()
    m.world.run(m.bob, 1, active=False)
    m.tif(m.bob, False)
    m.in_fpu(m.bob, 0, 1, 4)
    assert m.audit() == ()
    m.in_fpu(m.bob, 0, 0, 4)
    found = m.audit()
    assert [(f.rule, f.subject) for f in found] == [("OWNER", BOB)]
