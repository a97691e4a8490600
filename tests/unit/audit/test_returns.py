# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules on calls that return, each with a planted defect and a clean twin."""

from __future__ import annotations

from audit_machines import M44, M66, M310, M510, SYMBOLS, M44Eager
from planting import ALICE, BOB, Planted, one

planted = Planted()


@planted("SANITIZE", M44, M510)
def sanitizer_that_leaves_bytes(m):
    m.xfeatures(m.bob, 3 if isinstance(m, M44) else 0x203)
    m.poke(m.bob, 576, bytes(256))
    yield m.apply("sanitize", m.bob), []
    m.poke(m.bob, 700, b"\1")
    expected = [one("SANITIZE", "error", BOB, "AVX", m.at(m.bob) + 700, "1 of 256")]
    yield m.apply("sanitize", m.bob), expected


@planted("FORK", M44, M510, M66)
def child_with_stale_bytes(m):
    severity = "error" if isinstance(m, M44) else "note"
    yield m.apply("fork", m.bob), []
    m.xfeatures(m.bob, 3 if isinstance(m, M44) else 0x203)
    read = "256 of 256"
    expected = [one("FORK", severity, f"a child of {BOB}", "AVX", m.at(m.bob) + 576, read)]
    yield m.apply("fork", m.bob), expected


@planted("EXEC", M44, M44Eager, M310)
def program_with_its_predecessors_bytes(m):
    """b22cbe404a9c: up to 4.8 exec loads initial registers, and leaves memory as it was."""
    for start, length in ((0, 24), (32, 384), (576, 256)):
        m.poke(m.bob, start, bytes(length))
    m.poke(m.bob, 0, b"\x7f\x03")
    for xfeatures in (0, 7):  # which the next save overwrites
        m.xfeatures(m.bob, xfeatures)
        yield m.apply("exec", m.bob), []
        m.poke(m.bob, 160, b"\0\3\3")
        m.poke(m.bob, 831, b"\1")
        sse = "2 of 256 bytes are the old program's, from byte 161"
        avx = "1 of 256 bytes are the old program's, from byte 831"
        expected = [
            one("EXEC", "error", BOB, "SSE", m.at(m.bob) + 161, sse),
            one("EXEC", "error", BOB, "AVX", m.at(m.bob) + 831, avx),
        ]
        yield m.apply("exec", m.bob), expected
        m.poke(m.bob, 160, bytes(3))
        m.poke(m.bob, 831, bytes(1))
    yield m.apply("exec", m.bob), []


@planted("EXEC", M510, M66)
def program_with_stale_bytes(m):
    """Where nothing exports it raw, what is in use is overwritten by the next save."""
    yield m.apply("exec", m.bob), []
    m.xfeatures(m.bob, 0x203)
    expected = [one("EXEC", "note", BOB, "AVX", m.at(m.bob) + 576, "256 of 256")]
    yield m.apply("exec", m.bob), expected


@planted("SIGREST", M510, M44, M66)
def sigreturn_that_took_what_it_should_refuse(m):
    """CVE-2021-47227: the user's frame went into the kernel's area as it was."""
    yield m.apply("sigreturn", m.alice), []
    m.poke(m.alice, 528, b"\1")
    read = "reserved bytes of the header are not zero, from byte 528"
    expected = [one("SIGREST", "error", ALICE, "", m.at(m.alice) + 528, read)]
    yield m.apply("sigreturn", m.alice), expected
    m.poke(m.alice, 528, b"\0")
    m.poke(m.alice, 26, b"\1")
    expected = [one("SIGREST", "error", ALICE, "SSE", m.at(m.alice) + 24, "bits 0x10000 ")]
    yield m.apply("sigreturn", m.alice), expected
    m.poke(m.alice, 26, b"\0")
    yield m.apply("sigreturn", m.alice), []


@planted("SIGREST", M510, M66)
def sigreturn_that_leaves_another_owners_registers(m):
    """CVE-2021-47226: XRSTOR failed half way, and the registers still count as someone's."""
    yield m.apply("sigreturn", m.alice), []
    m.target.put_int(m.in_cpu("fpu_fpregs_owner_ctx", 0), m.fpu(m.carol))
    expected = [one("SIGREST", "error", ALICE, "", m.fpu(m.alice), "loaded on CPU 0")]
    yield m.apply("sigreturn", m.alice), expected
    yield m.apply("sigreturn", m.bob), []  # who does not run


@planted("RESTOREGP", M510, M66)
def state_that_the_cpu_refuses(m):
    """Its passage is the defect: the clean twin is an audit of the same memory."""
    yield m.audit(m.alice), []
    read = "the CPU refused to load a state; the task's area has xfeatures 0x207, xcomp_bv 0x"
    expected = [one("RESTOREGP", "error", ALICE, "", m.at(m.alice), read)]
    yield m.apply("fault", m.alice), expected


@planted.each()
def test_a_planted_defect_is_found_and_nothing_else(rule, plant, machine):
    planted.hold(rule, plant, machine)


def test_a_refused_state_without_a_header():
    m = M44()
    m.put("xfeatures_mask", 0)
    m.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    (found,) = m.apply("fault", m.alice)
    assert found.read == "the CPU refused to load a state; the task's area has no XSAVE header"
