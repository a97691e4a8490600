# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a function returns. Instructions are bytes as SDM volume 2 encodes them."""

from __future__ import annotations

import pytest

from gdbfpu.probes.returns import exits, find_ret

AT = 0xFFFFFFFF81009600
THUNK = 0xFFFFFFFF81C00000
SPARE = 0xFFFFFFFF81009A00
NOP, RET, RET_IMM, RETF = b"\x90", b"\xc3", b"\xc2\x08\x00", b"\xcb"
BODY = b"\x48\x89\xe5"  # mov %rsp,%rbp
CALL = b"\xe8\x00\x01\x00\x00"


def rel32(opcode, at, target):
    """A jump at address `at`, `opcode` and four bytes, to `target`."""
    return opcode + (target - at - len(opcode) - 4).to_bytes(4, "little", signed=True)


def jmp(at, target):
    return rel32(b"\xe9", at, target)


def whole(code):
    """A kernel that has no other function than the one of `code`: others have none."""
    return lambda address: code if address == AT else b""


def found(code, thunk=THUNK):
    return [(r.address - AT, r.next_pc) for r in exits(whole(code), AT, thunk, SPARE)]


def test_a_ret():
    (resume,) = exits(whole(BODY + RET), AT, None, SPARE)
    assert (resume.address, resume.next_pc, resume.text) == (AT + 3, SPARE, "ret")
    assert (resume.register, resume.writes) == (None, 1)
    assert resume.effect(None, None) == {"rip": SPARE}


def test_several_rets():
    """Two ways out, and a jump between them."""
    code = b"\x74\x04" + BODY + RET + BODY + RET  # je +4
    assert found(code) == [(5, SPARE), (9, SPARE)]
    assert found(code, None) == [(5, SPARE), (9, SPARE)]


def test_a_jump_to_the_return_thunk():
    code = BODY + jmp(AT + 3, THUNK)
    (resume,) = exits(whole(code), AT, THUNK, SPARE)
    assert (resume.address, resume.next_pc) == (AT + 3, THUNK)
    assert resume.effect(None, None) == {"rip": THUNK}
    assert exits(whole(code), AT, None, SPARE) == ()
    assert exits(whole(code), AT, THUNK + 16, SPARE) == ()


def test_rets_and_thunks_together():
    code = b"\x74\x05" + jmp(AT + 2, THUNK) + BODY + RET
    assert found(code) == [(2, THUNK), (10, SPARE)]


@pytest.mark.parametrize("prefix", [b"\xf3", b"\xf2"])
def test_a_ret_with_a_prefix_returns_too(prefix):
    """REP RET, as compilers wrote it for AMD's K8, and BND RET."""
    assert found(BODY + prefix + RET) == [(3, SPARE)]


ELSEWHERE = {
    "tail call": jmp(AT, 0xFFFFFFFF81009000),
    "tail call behind": jmp(AT, 0xFFFFFFFF8100A000),
    "short jump out": b"\xeb\x7f",
    "short jump to the next function": b"\xeb\x01",  # the one byte behind it is a RET
    "jump back out": b"\xeb\x80",
    "conditional jump out": rel32(b"\x0f\x84", AT, 0xFFFFFFFF8100A000),
    "conditional jump to the thunk": rel32(b"\x0f\x85", AT, THUNK),
    "short conditional jump out": b"\x74\x7f",
    "loop out": b"\xe2\x7f",
    "jrcxz out": b"\xe3\x7f",
    "jump to a register": b"\xff\xe0",
    "jump through a table": b"\xff\x24\xc5\x00\x00\x00\x81",
    "notrack jump": b"\x3e\xff\xe0",
    "ret that pops": RET_IMM,
    "far ret": RETF,
    "iretq": b"\x48\xcf",
    "bytes that are no instruction": b"\x06",
    "bytes that are no instruction, then rets": b"\x06\xc3",
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_a_way_out_that_is_not_seen_means_none_is(what):
    code = ELSEWHERE[what] + RET
    assert found(code) == []
    assert found(b"\x74\x00" + RET) == [(2, SPARE)]  # what is to the next instruction stays


def test_bytes_that_cannot_be_read_as_instructions_mean_none_is():
    """A jump cut off, an opcode that 64-bit mode does not have: what is behind may return too."""
    assert found(BODY + RET + b"\xe9\x00\x00") == []
    assert found(BODY + RET + b"\x06" + RET) == []


def test_jumps_within_stay():
    """Forwards, backwards, to the first and to the last byte."""
    code = NOP + b"\xeb\xfd" + b"\x74\xfb" + b"\xe2\xf9" + b"\xeb\x00" + RET
    assert found(code) == [(9, SPARE)]


def test_a_jump_to_the_byte_behind_the_function_leaves_it():
    assert found(b"\xeb\x01" + RET) == []
    assert found(b"\xeb\x00" + RET) == [(2, SPARE)]
    assert found(b"\xeb\xfe" + RET) == [(2, SPARE)]
    assert found(b"\xeb\xfd" + RET) == []


def test_calls_come_back():
    assert found(CALL + b"\xff\xd0" + RET) == [(7, SPARE)]


def test_what_warns_goes_on():
    """WARN() is UD2; the CPU goes on behind it."""
    assert found(b"\x0f\x0b" + RET) == [(2, SPARE)]


def test_a_function_that_never_returns():
    assert found(b"\xeb\xfe") == []
    assert found(b"") == []


def test_padding_behind_a_function():
    assert found(RET + b"\xcc" * 7) == [(0, SPARE)]


# --- a spare RET


def test_the_first_ret_is_taken():
    assert find_ret(NOP + BODY + RET + RET, AT) == AT + 4
    assert find_ret(NOP * 16, AT) is None
    assert find_ret(b"", AT) is None


def test_a_ret_in_the_middle_of_an_instruction_is_none():
    assert find_ret(b"\x48\xc7\xc0\xc3\xc3\xc3\xc3" + RET, AT) == AT + 7  # mov $imm,%rax


def test_a_ret_that_pops_is_not_taken():
    assert find_ret(RET_IMM + RETF + RET, AT) == AT + 4


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ([], 0),
        ([range(AT, AT + 1)], 1),
        ([range(AT, AT + 2)], 2),
        ([range(AT + 1, AT + 2)], 0),
        ([range(AT - 5, AT)], 0),
        ([range(AT + 1, AT + 2), range(AT, AT + 1)], 2),
        ([range(AT, AT + 3)], None),
    ],
)
def test_rets_in_what_is_taken_are_passed_over(taken, expected):
    place = find_ret(RET * 3, AT, taken)
    assert place == (None if expected is None else AT + expected)
