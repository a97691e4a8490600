# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the FPU registers in what QEMU's monitor prints for `info registers -a`.

Source: x86_cpu_dump_state() in QEMU's target/i386/cpu-dump.c. QEMU prints `FPR0` to `FPR7`, the
abridged tag byte `FTW`, the control words, and one kind of vector registers: ZMM with the opmask
registers, YMM or XMM, as XCR0 enables them. Outside 64-bit code it prints eight of them. It prints
no PKRU, no bounds, no tiles, no FOP, FIP and FDP.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ("UnknownDump", "parse_registers")

_CPU = re.compile(r"^CPU#(\d{1,5})[ \r]*$", re.MULTILINE)
_NEXT = re.compile(r"\s+(?=[A-Za-z]+\d*=)")  # before the name of the next register in a line
_NAMED = re.compile(r"([A-Za-z]+)(\d{0,2})=(.*)")
_DIGITS = {
    "FCW": (4,),
    "FSW": (4,),
    "FTW": (2,),
    "MXCSR": (8,),
    "FPR": (16, 4),
    "Opmask": (16,),
    "XMM": (16,) * 2,
    "YMM": (16,) * 4,
    "ZMM": (16,) * 8,
    "R": (16,),
}
"""The digits of each word of a register. `R16` to `R31` are those of APX."""
_TOP = re.compile(r" \[ST=([0-7])\]$")  # what follows FSW: its field TOP once more
_COUNTS = {"XMM": (8, 16), "YMM": (8, 16), "ZMM": (8, 32)}
_CONTROL = {"FCW": "fcw", "FSW": "fsw", "FTW": "ftw", "MXCSR": "mxcsr"}


class UnknownDump(Exception):
    """This text is not what `info registers -a` of a known QEMU prints; the message says why."""


def parse_registers(text: str, *, stack_order: bool) -> dict[int, dict[str, bytes]]:
    """Return the FPU registers of each CPU by its number, named as in gdbfpu.xsave.live.

    With `stack_order`, QEMU's FPRn is ST(n). Without it, FPRn is the physical register n. Raises
    UnknownDump if QEMU prints a register in a way that is not known, or not all of its kind.
    """
    heads = list(_CPU.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    found = {
        int(head[1]): _cpu(text[head.end() : end], stack_order) for head, end in zip(heads, ends)
    }
    if not found or len(found) < len(heads):
        raise UnknownDump("QEMU's `info registers -a` does not list the CPUs")
    return found


def _cpu(text: str, stack_order: bool) -> dict[str, bytes]:
    kinds: dict[str, dict[int, bytes]] = {}
    for kind, number, value in _words(text):
        if number in kinds.setdefault(kind, {}):
            raise UnknownDump(f"QEMU prints {kind}{number} twice")
        kinds[kind][number] = value
    _check(kinds)
    return dict(_named(kinds, stack_order))


def _words(text: str) -> Iterator[tuple[str, int, bytes]]:
    """Yield kind, number and bytes of each register of a known kind; raise UnknownDump."""
    for line in text.splitlines():
        for part in _NEXT.split(line.strip()):
            named = _NAMED.fullmatch(part)
            if named is None or named[1] not in _DIGITS:
                continue  # another register, or none
            kind, number, value = named[1], int(named[2] or 0), named[3]
            if kind == "R" and number < 16:
                continue  # a general register
            yield kind, number, _bytes(kind, value)


def _bytes(kind: str, value: str) -> bytes:
    words = (_TOP.sub("", value) if kind == "FSW" else value).split(" ")
    whole = all(re.fullmatch("[0-9a-f]+", word) for word in words)
    if not whole or tuple(map(len, words)) != _DIGITS[kind]:
        raise UnknownDump(f"QEMU prints {kind} in an unknown way")
    if kind == "FSW":
        top = _TOP.search(value)
        if top is None or int(words[0], 16) >> 11 & 7 != int(top[1]):
            raise UnknownDump("QEMU prints FSW in an unknown way")
    if kind == "FPR":  # significand, then sign and exponent; elsewhere the most significant first
        words.reverse()
    return bytes.fromhex("".join(words))[::-1]


def _check(kinds: Mapping[str, Mapping[int, bytes]]) -> None:
    """Raise UnknownDump if not all registers of a kind are there, or more than one can have."""
    counts: dict[str, tuple[int, ...]] = {**dict.fromkeys(_CONTROL, (1,)), "FPR": (8,)}
    vectors = [kind for kind in _COUNTS if kind in kinds]
    if len(vectors) == 1:
        counts[vectors[0]] = _COUNTS[vectors[0]]
    if vectors == ["ZMM"] or "Opmask" in kinds:
        counts["Opmask"] = (8,)
    for kind, allowed in counts.items():
        numbers = sorted(kinds.get(kind, {}))
        if len(numbers) not in allowed or numbers != list(range(len(numbers))):
            raise UnknownDump(f"QEMU prints {len(numbers)} registers {kind}")
    if len(vectors) != 1:
        raise UnknownDump(f"QEMU prints {len(vectors)} kinds of vector registers")
    if kinds.get("R", {}).keys() not in (set(), set(range(16, 32))):
        raise UnknownDump("QEMU does not print all of R16 to R31")


def _named(
    kinds: Mapping[str, Mapping[int, bytes]], stack_order: bool
) -> Iterator[tuple[str, bytes]]:
    for kind, name in _CONTROL.items():
        yield name, kinds[kind][0]
    top = 0 if stack_order else kinds["FSW"][0][1] >> 3 & 7
    for i in range(8):
        yield f"st{i}", kinds["FPR"][(i + top) % 8]
    for kind, prefix in (
        ("Opmask", "k"), ("XMM", "xmm"), ("YMM", "ymm"), ("ZMM", "zmm"), ("R", "r"),
    ):  # fmt: skip
        for i, value in sorted(kinds.get(kind, {}).items()):
            yield f"{prefix}{i}", value
