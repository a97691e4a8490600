# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules on what a signal frame says, each with a planted defect and a clean twin."""

from __future__ import annotations

from audit_machines import COMPACTED, M44, M49, M66, M510, M517, SYMBOLS, frame, pattern
from planting import ALICE, STACK, Planted, one, seen, user_frame

planted = Planted()


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
            [told(472, f"is 0x3, but the task's are {mask:#x}")],
        )
        yield (
            seen(m, lie(520, (COMPACTED | 7).to_bytes(8, "little"))),
            [told(520, "xcomp_bv is 0x8000000000000007, reserved bytes are zero")],
        )
        yield seen(m, lie(575, b"\1")), [told(520, "xcomp_bv is 0x0, reserved bytes are not zero")]
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
        one(
            "FRAME",
            "error",
            ALICE,
            "",
            STACK + 480,
            "is 832, but the task's user images have 2696 bytes",
        ),
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
    read = "the 32-bit frame has 0x0 in place of FP_XSTATE_MAGIC1"
    expected = [one("FRAME32", "error", ALICE, "", STACK + 112 + 464, read)]
    yield m.frame(bytes(image), registers={"fcw": b"\x7f\x03"}).findings, expected


@planted("FRAMESTALE", M44, M510, M66)
def stale_bytes_on_the_user_stack(m):
    for ia32, base in ((False, 0), (True, 112)):
        m.xfeatures(m.alice, 3)
        image = user_frame(m, 3 if isinstance(m, M44) else 0x203, avx=bytes(256), ia32=ia32)
        yield seen(m, image), []
        image[base + 831] = 9
        read = "1 of 256 bytes of AVX are not initial, but the frame's bit 2 is clear"
        expected = [one("FRAMESTALE", "error", ALICE, "AVX", STACK + base + 831, read)]
        yield seen(m, image), expected


@planted("FRAMESTALE", M517, M66)
def stale_avx_beside_tiles_that_were_left_out(m):
    """5.17 writes no TILECFG and TILEDATA while they are initial: the stack keeps its bytes."""
    m.xfeatures(m.alice, 3)
    tiles = {2752: b"\x5a" * 64, 2816: b"\xa5" * 8192}
    amx = {"size": 11008, "mask": 0x60207, "registers": {}}

    def found(avx):
        image = bytes(frame(11008, 0x60207, 0x203, {576: avx, **tiles}))
        return m.frame(image, **amx).findings

    yield found(bytes(256)), []
    read = "256 of 256 bytes of AVX are not initial, but the frame's bit 2 is clear"
    expected = one("FRAMESTALE", "error", ALICE, "AVX", STACK + 576, read)
    yield found(pattern("bob", "AVX", 256)), [expected]


@planted.each()
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    planted.hold(rule, plant, machine)


def test_a_32_bit_frame_of_a_cpu_without_xsave():
    m = M44()
    m.put("xfeatures_mask", 0)
    m.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    image = frame(512, 3, 3, {}, ia32=True)
    image[112 + 464 : 112 + 512] = bytes(48)
    assert m.frame(bytes(image), registers={"fcw": b"\x7f\x03"}).findings == ()


def test_an_audit_of_a_frame_is_of_one_task():
    m = M44()
    said = m.frame(bytes(user_frame(m)), registers={"fcw": b"\x7f\x03"})
    assert (said.tasks, said.verdict, said.undecided) == (1, "clean", ())
