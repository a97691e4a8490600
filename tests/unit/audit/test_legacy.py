# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules on the legacy region, each with a planted defect and a clean twin."""

from __future__ import annotations

import pytest
from audit_machines import DEFAULT_PKRU, ELSEWHERE, M44, M49, M66, M310, M510, M616, SYMBOLS
from fake_kernel import struct
from planting import BOB, EVERY, KERNEL_ADDRESS, VENDOR, Planted, one

from gdbfpu.layouts.types import Layouts

planted = Planted()


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


@planted.each()
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    planted.hold(rule, plant, machine)


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
