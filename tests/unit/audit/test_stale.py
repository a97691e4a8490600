# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule on stale components, with planted defects and their clean twins."""

from __future__ import annotations

from audit_machines import (
    AMX,
    COMPACTED,
    DEFAULT_PKRU,
    M44,
    M49,
    M66,
    M310,
    M510,
    M616,
    SYMBOLS,
    M41Xsaves,
    M44Eager,
    pattern,
)
from planting import ALICE, BOB, Planted, one

from gdbfpu.target import Answers

planted = Planted()


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
def stale_bytes_of_the_upper_half_of_a_register_in_a_cpu(m):
    m.target.fpu[0] = {"ymm5": bytes(16) + pattern("live", "", 16)}
    m.xfeatures(m.bob, 3)
    m.poke(m.bob, 576, bytes(256))
    yield m.audit(), []
    m.poke(m.bob, 592, pattern("live", "", 16))
    read = "16 of 256", "; 16 bytes equal AVX of alice (pid 10)"
    yield m.audit(), [one("STALE", "error", BOB, "AVX", m.at(m.bob) + 592, *read)]


def image(avx, *, at=576, xfeatures=7, xcomp_bv=0, size=832):
    """What the CPU wrote, with its YMM registers' upper halves at `at`."""
    made = bytearray(size)
    made[512:528] = xfeatures.to_bytes(8, "little") + xcomp_bv.to_bytes(8, "little")
    made[at : at + len(avx)] = avx
    return bytes(made)


def wrote(m, data, *, cr0=0x80050033, xcr0=832, **control):
    """Have CPU 0 answer with this image."""
    control = {"cr0": cr0, "cr4": 1 << 18, **control}
    m.target.answers = Answers(0, control, xcr0, data, "XSAVEOPT")


@planted("STALE", M44)
def stale_bytes_of_registers_that_the_cpu_wrote(m):
    """In an image in the standard format."""
    live = pattern("live", "", 16)
    m.xfeatures(m.bob, 3)
    m.poke(m.bob, 576, bytes(256))
    yield m.audit(), []
    m.poke(m.bob, 592, live)
    place = m.at(m.bob) + 592
    unknown = [one("STALE", "error", BOB, "AVX", place, "16 of 256")]
    yield m.audit(), unknown
    assert "equal" not in m.audit()[0].read
    wrote(m, image(bytes(32) + live))
    read = "16 of 256", "; 16 bytes equal AVX of alice (pid 10)"
    yield m.audit(), [one("STALE", "error", BOB, "AVX", place, *read)]
    wrote(m, image(bytes(32) + live, xfeatures=3))  # initial: what the CPU did not write is old
    yield m.audit(), unknown
    assert "equal" not in m.audit()[0].read
    wrote(m, b"")  # it told its control registers only
    yield m.audit(), unknown


@planted("STALE", M49)
def stale_bytes_of_registers_that_the_cpu_wrote_compacted(m):
    """PKRU is at 832 there, at 2688 in the standard format; AVX at 576 in both."""
    live = pattern("live", "", 16)
    m.xfeatures(m.bob, 0x203)
    m.poke(m.bob, 576, bytes(256))
    yield m.audit(), []
    m.poke(m.bob, 816, live)
    place = m.at(m.bob) + 816
    made = image(bytes(240) + live, xfeatures=0x207, xcomp_bv=COMPACTED | 0x207, size=840)
    wrote(m, made, xcr0=2696)
    read = "16 of 256", "; 16 bytes equal AVX of alice (pid 10)"
    yield m.audit(), [one("STALE", "note", BOB, "AVX", place, *read)]


@planted("STALE", M66)
def stale_bytes_of_a_compacted_image_without_avx(m):
    """The CPU wrote no AVX: what is at 576 in its image is PKRU, then CET_U."""
    live = pattern("live", "", 16)
    m.xfeatures(m.bob, 0x203)
    m.poke(m.bob, 576, bytes(256))
    yield m.audit(), []
    m.poke(m.bob, 576, live)
    place = m.at(m.bob) + 576
    made = image(live, xfeatures=0xA03, xcomp_bv=COMPACTED | 0xA03, size=960)
    wrote(m, made, xcr0=11008, ia32_xss=0x800, ia32_xfd=AMX)
    yield m.audit(), [one("STALE", "note", BOB, "AVX", place, "16 of 256")]
    assert "equal" not in m.audit()[0].read


@planted("STALE", M44)
def registers_that_prove_nothing(m):
    """They count as the component that they belong to, and only if the task's are loaded."""
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


@planted.each()
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    planted.hold(rule, plant, machine)


def test_a_task_that_never_used_the_fpu_has_nothing_stale():
    """Lazily switched, its area is what its parent had: it means nothing."""
    m = M44()
    m.xfeatures(m.carol, 0)
    assert {f.rule for f in m.audit()} == {"STALE"}
    m.in_fpu(m.carol, 4, 0, 1)
    assert m.audit() == ()
    m.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)  # eager: it counts
    assert {f.rule for f in m.audit()} == {"STALE"}


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
