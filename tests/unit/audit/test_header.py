# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules on the XSAVE header, each with a planted defect and a clean twin."""

from __future__ import annotations

from audit_machines import (
    COMPACTED,
    M44,
    M49,
    M66,
    M510,
    M517,
    M616,
    SIZE,
    SYMBOLS,
    XFEATURES,
    M41Xsaves,
    M44Eager,
    frame,
    header,
)
from planting import ALICE, BOB, EVERY, Planted, one

planted = Planted()


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
                one(
                    "XCOMP2", "error", BOB, "", m.at(m.bob) + 520, "but xcomp_bv has no room for it"
                ),
            ],
        )
    m.xfeatures(m.bob, int.from_bytes(was, "little") | 1 << 5)
    found = [one("XCOMP", "error", BOB, "", m.at(m.bob) + 512, "does not enable opmask")]
    if m.snapshot().model.format == "compacted":  # and there is no room for it
        found.append(
            one("XCOMP2", "error", BOB, "", m.at(m.bob) + 520, "but xcomp_bv has no room for it")
        )
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
    read = "xfeatures has TILECFG, but xcomp_bv has no room for it"
    expected = [
        one("XCOMP2", "error", BOB, "", m.at(m.bob) + 520, read),
        one("AMXBUF", "error", BOB, "", m.at(m.bob) + 512, "xfeatures has TILECFG, but"),
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
    word = "PKRU is in use and ends at byte 840, but the area ends at 832"
    place = m.at(m.bob) + 512
    yield m.audit(), [one("SIZE", "error", BOB, "", place, word)] if in_use_behind else []
    m.xfeatures(m.bob, 7)
    yield m.audit(), []
    m.fpstate(m.bob, SIZE, 831, 4)
    word = "AVX is in use and ends at byte 832, but the area ends at 831"
    yield m.audit(), [one("SIZE", "error", BOB, "", place, word)]
    m.xfeatures(m.bob, 3)
    yield m.audit(), []
    m.fpstate(m.bob, SIZE, 576, 4)
    yield m.audit(), []
    m.fpstate(m.bob, SIZE, 575, 4)
    word = "the area has 575 bytes, too few for its header"
    yield m.audit(), [one("SIZE", "error", BOB, "", m.at(m.bob), word)]


@planted("SANOFF", M41Xsaves)
def compacted_area_under_the_old_sanitizer(m):
    address = m.target.symbols["__sanitize_i387_state"]
    m.forget("__sanitize_i387_state")
    yield m.audit(), []
    m.target.symbols["__sanitize_i387_state"] = address
    place = m.at(m.alice) + 520
    yield m.audit(), [one("SANOFF", "error", ALICE, "", place, "is 0x8000000000000007")]


@planted.each()
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    planted.hold(rule, plant, machine)


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
