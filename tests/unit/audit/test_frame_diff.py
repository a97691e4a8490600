# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules on what a frame was written from, each with a planted defect and a clean twin."""

from __future__ import annotations

from audit_machines import M44, M510, SYMBOLS, pattern
from planting import ALICE, STACK, Planted, one, seen, user_frame

planted = Planted()


@planted("FRAMEPAST", M44, M510)
def bytes_behind_the_frame(m):
    image = user_frame(m)
    past = pattern("stack", "", 64)
    yield seen(m, image, past=(past, past)), []
    after = past[:10] + bytes([past[10] ^ 1]) + past[11:-1] + bytes([past[-1] ^ 1])
    place = len(image) + 10
    read = f"2 bytes after the frame changed, from byte {place}"
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
            read = f"{name} differs from the task's memory at entry"
            expected = [one("FRAMEDIFF", "error", ALICE, name, STACK + base + start, read)]
            yield seen(m, image), expected
    for pad in (5, 42, 47, 159, 430, 490):
        image = user_frame(m)
        image[pad] ^= 1
        yield seen(m, image), []
    m.xfeatures(m.alice, 3)  # AVX was not in use: the sanitizer cleans it
    yield seen(m, user_frame(m, 7, avx=bytes(256))), []


@planted("FRAMEDIFF", M44)
def state_whose_bit_the_frame_lost(m):
    """sigreturn loads initial values then, whatever bytes are there."""
    m.poke(m.alice, 576, bytes(256))
    yield seen(m, user_frame(m, 3, avx=bytes(256))), []
    m.poke(m.alice, 576, pattern("alice", "AVX", 256))
    read = "AVX differs from the task's memory at entry"
    expected = [one("FRAMEDIFF", "error", ALICE, "AVX", STACK + 576, read)]
    yield seen(m, user_frame(m, 3, avx=bytes(256))), expected


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
        read = f"{name} differs from the CPU's register at entry"
        expected = [one("FRAMEDIFF", "error", ALICE, component, STACK + place, read)]
        yield m.frame(bytes(image), registers=other).findings, expected


@planted("FRAMEDIFF", M510, M44)
def frame_that_lacks_a_whole_register_of_the_cpu(m):
    """Each part of a register is compared with its own component, which sigreturn may clear."""
    image = user_frame(m)
    ymm = bytes(image[208:224] + image[576 + 48 : 576 + 64])
    shown = {"ymm3": ymm, "ftw": bytes(image[4:5])}
    yield m.frame(bytes(image), registers=shown).findings, []
    read = "ymm3 differs from the CPU's register at entry"
    at = STACK + 576 + 48
    expected = [one("FRAMEDIFF", "error", ALICE, "AVX", at, read)]
    yield m.frame(bytes(image), registers={"ymm3": ymm[:31] + b"\x99"}).findings, expected
    lost = bytes(user_frame(m, 3))  # AVX is initial for sigreturn, whatever bytes are there
    found = m.frame(lost, registers=shown).findings
    yield [one for one in found if one.rule == "FRAMEDIFF"], expected
    found = m.frame(lost, registers={"ymm3": ymm[:16] + bytes(16)}).findings
    yield [one for one in found if one.rule == "FRAMEDIFF"], []
    read = "ftw differs from the CPU's register at entry"
    expected = [one("FRAMEDIFF", "error", ALICE, "x87", STACK + 4, read)]
    yield m.frame(bytes(image), registers={"ftw": b"\x99"}).findings, expected


@planted.each()
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    planted.hold(rule, plant, machine)


def test_fxsave_has_all_of_its_components():
    """There is no header that would say so."""
    m = M44()
    m.put("xfeatures_mask", 0)
    m.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    memory = bytes(user_frame(m))[:464] + bytes(48)
    assert m.frame(memory, before=memory).findings == ()
    for offset, name in ((415, "SSE"), (0, "x87")):
        image = bytearray(memory)
        image[offset] ^= 1
        (found,) = m.frame(bytes(image), before=memory).findings
        assert (found.rule, found.component) == ("FRAMEDIFF", name)
        assert found.read == f"{name} differs from the task's memory at entry"
