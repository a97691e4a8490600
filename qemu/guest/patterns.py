# SPDX-License-Identifier: GPL-2.0-or-later
"""The register patterns of the guest programs as data, after the comments in their sources.

Written by hand from that documentation, for tests: the other side of a comparison with what the
kernel keeps. Registers that a program does not name stay in their initial state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ("EVIL_NAME", "PATTERNS")

EVIL_NAME = b"evil\x1b[31m\x07\n\xff\xfe"
"""The task name (`comm`) of evilname, without its terminating zero."""


def _vectors(
    prefix: str, count: int, size: int, byte: Callable[[int, int], int]
) -> dict[str, bytes]:
    return {f"{prefix}{i}": bytes(byte(i, j) & 0xFF for j in range(size)) for i in range(count)}


def _all_ymm(byte: Callable[[int, int], int]) -> dict[str, bytes]:
    return _vectors("ymm", 16, 32, byte)


def _inverted_above(j: int) -> int:
    return 0xFF if j >= 16 else 0


PATTERNS: Mapping[str, Mapping[str, bytes]] = {
    "ymmall": _all_ymm(lambda i, j: (i << 4 | j & 15) ^ _inverted_above(j)),
    "coredump": _all_ymm(lambda i, j: 0x5A ^ i << 4 ^ j & 15 ^ _inverted_above(j)),
    "ptracer": _all_ymm(lambda i, j: 0xC3 ^ i << 4 ^ j & 15 ^ _inverted_above(j)),
    "avxthreads/0": _all_ymm(lambda i, j: 33 * i + 5 * j),
    "avxthreads/1": _all_ymm(lambda i, j: 64 + 33 * i + 5 * j),
    "avxthreads/2": _all_ymm(lambda i, j: 128 + 33 * i + 5 * j),
    "avxthreads/3": _all_ymm(lambda i, j: 192 + 33 * i + 5 * j),
    "evilname": _vectors("xmm", 8, 16, lambda i, j: 0xE0 | i),
    "forkexec": _vectors("xmm", 8, 16, lambda i, j: 0xF0 | i),
    "x87calc": {
        "fcw": bytes.fromhex("7f0b"),
        "fsw": bytes.fromhex("0418"),
        "ftw": bytes.fromhex("f8"),
        "st0": bytes.fromhex("00000000000000 80 ff7f"),
        "st1": bytes.fromhex("00000000000000 00 0080"),
        "st2": bytes.fromhex("00000000000000 90 00c0"),
        "st3": bytes.fromhex("00000000000000 c0 ff3f"),
        "st4": bytes.fromhex("35c26821a2da0f c9 0040"),
    },
    "mmxplay": {
        "ftw": bytes.fromhex("ff"),
        "mm0": bytes.fromhex("0303030303030303"),
        "mm1": bytes.fromhex("1414141414141414"),
        "mm2": bytes.fromhex("2525252525252525"),
        "mm3": bytes.fromhex("3636363636363636"),
        "mm4": bytes.fromhex("4747474747474747"),
        "mm5": bytes.fromhex("5858585858585858"),
        "mm6": bytes.fromhex("6969696969696969"),
        "mm7": bytes.fromhex("7a7a7a7a7a7a7a7a"),
    },
    "audiod": {
        "mxcsr": bytes.fromhex("c0ff0000"),
        # 3.14159265358979, -1e300
        "xmm7": bytes.fromhex("112d4454fb210940 9c7500883ce437fe"),
        # 1, -2.5, 1e-40 (a denormal), 6.02e23
        "xmm12": bytes.fromhex("0000803f 000020c0 c2160100 f9f4fe66"),
    },
    "fxall": {
        "mxcsr": bytes.fromhex("807f0000"),
        "fcw": bytes.fromhex("7f0a"),
        "fsw": bytes.fromhex("0028"),
        "ftw": bytes.fromhex("ff"),
        "st0": bytes.fromhex("00010203040506 80 0040"),
        "st1": bytes.fromhex("10111213141516 81 0140"),
        "st2": bytes.fromhex("20212223242526 82 0240"),
        "st3": bytes.fromhex("30313233343536 83 0340"),
        "st4": bytes.fromhex("40414243444546 84 0440"),
        "st5": bytes.fromhex("50515253545556 85 0540"),
        "st6": bytes.fromhex("60616263646566 86 0640"),
        "st7": bytes.fromhex("70717273747576 87 0740"),
        **_vectors("xmm", 16, 16, lambda i, j: 0x3C ^ i << 4 ^ j),
    },
    "ia32sig": {
        "mxcsr": bytes.fromhex("809f0000"),
        "fcw": bytes.fromhex("7f02"),
        "fsw": bytes.fromhex("0030"),
        "ftw": bytes.fromhex("c0"),
        "st0": bytes.fromhex("00000000000000 80 ffbf"),
        "st1": bytes.fromhex("fe8a1bcd4b789a d4 0040"),
        **_vectors("xmm", 8, 16, lambda i, j: 0x80 + (i << 4) + j),
    },
    "intonly": {},
}
"""Program (`avxthreads/K` for thread K) to register to its bytes in memory order.

Register names are those of FXSAVE and the SDM: `ftw` is the abridged tag byte, `ymm` whole.
"""
