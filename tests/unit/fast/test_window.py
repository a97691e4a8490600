# SPDX-License-Identifier: GPL-2.0-or-later
"""Which bytes at a function's entry a jump may replace, and which it may not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbfpu.errors import UsageError
from gdbfpu.probes.window import JUMP, Window, find_window

ADDRESS = 0xFFFFFFFF81000100
REST = "48 89 fb e8 00 10 00 00 5b 5d c3"  # mov, call, pop, pop, ret
ENDBR64, NOP5 = "f3 0f 1e fa", "0f 1f 44 00 00"


def find(text: str, address: int = ADDRESS) -> Window:
    return find_window(bytes.fromhex(text), address)


def u64(value: int) -> int:
    return value % (1 << 64)


PROLOGUES = (  # as Linux 4.4, 5.10 and 6.1 have them; the window, how many instructions
    ("55 48 89 e5 53", 3),  # push, mov, push
    ("55 48 89 e5 41 54", 3),
    ("41 56 41 55 41 54", 3),
    ("55 65 48 8b 04 25 c0 ab 01 00", 2),  # push; mov %gs:0x1abc0,%rax
    ("65 48 8b 0c 25 c0 ab 01 00", 1),
    ("55 48 8d 87 80 06 00 00", 2),  # push; lea 0x680(%rdi),%rax
    ("55 48 63 d2 b8 f3 ff ff ff", 3),  # push; movslq; mov $-13,%eax
    ("66 c7 47 05 00 00", 1),  # movw $0,5(%rdi)
    ("55 31 c0 48 89 e5", 3),
    ("48 b8 00 f0 ff ff ff 7f 00 00", 1),  # movabs
    (NOP5, 1),
    ("66 90 53 48 89 fb", 3),
    ("55 0f 1f 44 00 00", 2),
    ("ff 72 f8 48 83 ec 18", 2),  # push -8(%rdx); sub $0x18,%rsp
)


@pytest.mark.parametrize(("text", "instructions"), PROLOGUES)
def test_prologues(text, instructions):
    code = bytes.fromhex(text)
    window = find(text + REST)
    assert window == Window(ADDRESS, code, code, instructions)
    assert window.end == ADDRESS + len(code)
    assert window.inside == range(ADDRESS + 1, window.end)


@pytest.mark.parametrize(("text", "instructions"), PROLOGUES)
def test_endbr64_stays_in_front(text, instructions):
    """An indirect call has to find it there."""
    code = bytes.fromhex(text)
    assert find(ENDBR64 + text + REST) == Window(ADDRESS + 4, code, code, instructions)


@pytest.mark.parametrize("sealed", ["66 0f 1f 00", "0f 1f 40 d6"])
def test_sealed_endbr64_stays_in_front(sealed):
    """Then the NOP of ftrace is a window of one instruction, where no task can wait."""
    nop = bytes.fromhex("0f 1f 44 00 00")
    assert find(sealed + nop.hex() + "41 57" + REST) == Window(ADDRESS + 4, nop, nop, 1)


def test_endbr64_alone():
    with pytest.raises(UsageError, match="its first 0 bytes leave no room"):
        find(ENDBR64)


@pytest.mark.parametrize(
    ("text", "leaves", "calls"),
    [
        ("55 48 89 e5 e8 7f ff ff ff", -0x81 + 9, True),
        ("55 48 89 e5 e8 7f ff ff 7f", 0x7FFFFF7F + 9, True),
        ("48 89 f9 e9 6d 26 af 00", 0xAF266D + 8, False),
        ("55 48 89 e5 eb 05", 5 + 6, False),
        ("55 48 89 e5 eb 80", -0x80 + 6, False),
        ("55 e9 00 00 00 80", -0x80000000 + 6, False),
    ],
)
def test_a_relative_jump_or_call_at_the_end(text, leaves, calls):
    code = bytes.fromhex(text)
    window = find(text + "90" * 16 + REST)
    size = {0xE8: 5, 0xE9: 5, 0xEB: 2}
    last = next(n for n in range(1, len(code)) if len(code) - n == size.get(code[n]))
    assert window.code == code
    assert window.plain == code[:last]
    assert window.leaves == u64(ADDRESS + leaves)
    assert window.calls is calls


def test_a_jump_ends_a_window_that_is_too_short():
    """What follows it may be another block that something jumps to."""
    with pytest.raises(UsageError, match="its first 3 bytes leave no room for a jump of 5"):
        find("55 eb 05" + NOP5 + REST)


@pytest.mark.parametrize("text", ["", "c3", "90", "55 5d c3", "31 c0 c3"])
def test_a_function_shorter_than_a_jump(text):
    with pytest.raises(UsageError):
        find(text)


@pytest.mark.parametrize("before", ["", ENDBR64])
@pytest.mark.parametrize("first", ["e8 fb ff 7f 00", "e9 00 10 00 00", "eb 20"])
def test_a_jump_or_call_first_is_somebody_elses(before, first):
    with pytest.raises(UsageError, match="first instruction is a jump or a call: ftrace or a kp"):
        find(before + first + REST)


REFUSED = {
    "int3": "cc",
    "int1": "f1",
    "int": "cd 80",
    "ud2": "0f 0b",
    "ret": "c3",
    "ret imm16": "c2 08 00",
    "iretq": "48 cf",
    "hlt": "f4",
    "cli": "fa",
    "sti": "fb",
    "pushfq": "9c",
    "popfq": "9d",
    "leave": "c9",
    "enter": "c8 00 00 00",
    "jmp *rax": "ff e0",
    "notrack jmp *rax": "3e ff e0",
    "jmp *mem": "ff 24 c5 00 00 00 81",
    "call *rax": "ff d0",
    "call *rip": "ff 15 00 00 00 00",
    "je rel8": "74 10",
    "je rel32": "0f 84 00 10 00 00",
    "jrcxz": "e3 10",
    "loop": "e2 10",
    "jmp with 0x66": "66 e9 00 10 00 00",
    "bnd jmp": "f2 e9 00 10 00 00",
    "xbegin": "c7 f8 00 10 00 00",
    "movsb": "a4",
    "rep movsq": "f3 48 a5",
    "rep stosq": "f3 48 ab",
    "lodsb": "ac",
    "scasb": "ae",
    "cmpsb": "a6",
    "insb": "6c",
    "in": "ec",
    "out": "ee",
    "rdtsc": "0f 31",
    "rdmsr": "0f 32",
    "wrmsr": "0f 30",
    "swapgs": "0f 01 f8",
    "syscall": "0f 05",
    "cpuid": "0f a2",
    "invlpg": "0f 01 38",
    "clts": "0f 06",
    "stac": "0f 01 cb",
    "clac": "0f 01 ca",
    "wrpkru": "0f 01 ef",
    "mov from cr": "0f 20 c0",
    "mov to cr": "0f 22 d8",
    "mov from dr": "0f 21 c0",
    "mov to ss": "8e d0",
    "pop fs": "0f a1",
    "endbr64 within": ENDBR64,
    "fxsave": "0f ae 07",
    "movaps": "0f 28 c1",
    "mov from rip": "48 8b 05 00 01 00 00",
    "mov from eip": "67 48 8b 05 00 01 00 00",
    "mov to rip": "48 89 05 00 01 00 00",
    "lea of rip": "48 8d 05 00 01 00 00",
    "gs and rip": "65 48 8b 05 00 01 00 00",
    "push of rip": "ff 35 00 01 00 00",
    "cmp with rip": "80 3d 00 01 00 00 05",
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("before", ["55", "53 48 89 fb", ENDBR64 + "55"])
def test_refused(before, what):
    text = f"{before} {REFUSED[what]} 90 90 90 90 90 c3"
    with pytest.raises(UsageError, match="is in its first bytes") as caught:
        find(text)
    assert ("somebody else" in str(caught.value)) == (what == "int3")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("what", REFUSED)
def test_refused_things_may_follow(what):
    """The same instruction right behind the window hinders nobody."""
    text = f"55 48 89 e5 53 {REFUSED[what]} {'90' * 300}"
    assert find(text).code == bytes.fromhex("55 48 89 e5 53")


def jump_to(kind: str, at: int, to: int) -> bytes:
    """A jump at offset `at` to the offset `to`."""
    opcode, size = {
        "jmp8": ("eb", 1),
        "je8": ("74", 1),
        "jrcxz": ("e3", 1),
        "loop": ("e2", 1),
        "jmp32": ("e9", 4),
        "call": ("e8", 4),
        "ja32": ("0f 87", 4),
        "xbegin": ("c7 f8", 4),
        "bnd jmp": ("f2 e9", 4),
    }[kind]
    code = bytes.fromhex(opcode)
    return code + (to - at - len(code) - size).to_bytes(size, "little", signed=True)


@pytest.mark.parametrize(
    "kind", ["jmp8", "je8", "jrcxz", "loop", "jmp32", "call", "ja32", "xbegin", "bnd jmp"]
)
@pytest.mark.parametrize("to", range(8))
@pytest.mark.parametrize("endbr", ["", ENDBR64])
def test_jumps_back(kind, to, endbr):
    """The window has 6 bytes; to its begin and its end everybody may jump."""
    head, skipped = bytes.fromhex(endbr + "41 56 41 55 41 54"), len(bytes.fromhex(endbr))
    code = head + bytes.fromhex("90 90") + jump_to(kind, len(head) + 2, to + skipped) + b"\xc3"
    if to in range(1, 6):
        with pytest.raises(UsageError, match="jumps back into its first 6 bytes"):
            find_window(code, ADDRESS)
    else:
        assert find_window(code, ADDRESS).code == head[skipped:]


def test_what_cannot_be_decoded_may_jump_back():
    known = "41 56 41 55 41 54 90"
    assert find(known + "c3").instructions == 3
    with pytest.raises(UsageError, match=re.escape("byte 0x7 begins no instruction")):
        find(known + "06 c3" + "74 f8")  # `push %es` is no instruction in 64-bit mode


def test_a_function_at_the_end_of_memory():
    address = (1 << 64) - 16
    window = find("55 48 89 e5 eb f0 90 c3", address)
    assert window.leaves == address - 10
    assert find("55 48 89 e5 eb 10 90 c3", address).leaves == 6


POOL = tuple(
    bytes.fromhex(text)
    for text in (
        "55", "53", "90", "41 54", "5b", "31 c0", "66 90", "48 89 e5", "48 63 d2", "f7 d8",
        "48 c1 e0 04", "48 83 ec 18", "48 8b 47 08", "b8 01 00 00 00", NOP5, "48 87 fe",
        "66 c7 47 05 00 00", "48 81 ec 00 01 00 00", "65 48 8b 04 25 c0 ab 01 00",
        "48 b8 00 f0 ff ff ff 7f 00 00", "66 2e 0f 1f 84 00 00 02 00 00", "4c 0f be 07",
        "41 ff 47 08", "48 ff 4f 10", "f0 48 ff 07", "48 f7 d0", "48 85 ff", "0f b7 c0",
    )
)  # fmt: skip


@given(st.lists(st.sampled_from(POOL), max_size=12), st.booleans())
def test_windows_of_random_code(instructions, endbr):
    """The window is the fewest whole instructions that have five bytes."""
    skipped = bytes.fromhex(ENDBR64) if endbr else b""
    code = skipped + b"".join(instructions)
    wanted = next(
        (n for n in range(1, len(instructions) + 1) if sum(map(len, instructions[:n])) >= JUMP), 0
    )
    if not wanted:
        with pytest.raises(UsageError, match="leave no room"):
            find_window(code, ADDRESS)
        return
    window = find_window(code, ADDRESS)
    assert window.address == ADDRESS + len(skipped)
    assert window.instructions == wanted
    assert window.code == window.plain == b"".join(instructions[:wanted])
    assert (window.leaves, window.calls) == (None, False)


@given(
    st.lists(st.sampled_from(POOL), min_size=5, max_size=12),
    st.sampled_from(("jmp8", "je8", "jmp32", "call", "ja32")),
    st.integers(-20, 60),
)
def test_jumps_in_random_code(instructions, kind, to):
    head = b"".join(instructions)
    code = head + jump_to(kind, len(head), to)
    size = len(find_window(head, ADDRESS).code)
    if 0 < to < size:
        with pytest.raises(UsageError, match="jumps back"):
            find_window(code, ADDRESS)
    else:
        assert find_window(code, ADDRESS) == find_window(head, ADDRESS)


@given(st.binary(max_size=40))
def test_random_bytes_give_a_window_or_a_reason(code):
    try:
        window = find_window(code, ADDRESS)
    except UsageError as error:
        assert str(error).isprintable()
        return
    start = window.address - ADDRESS
    assert code[start : start + len(window.code)] == window.code
    assert len(window.code) >= JUMP
    assert window.code.startswith(window.plain)
    assert (window.plain == window.code) == (window.leaves is None)
