# SPDX-License-Identifier: GPL-2.0-or-later
"""Images made by hand for the tests of the decoder."""

from __future__ import annotations

import struct


def legacy(fcw=0x37F, fsw=0, ftw=0, mxcsr=0x1F80, mxcsr_mask=0xFFFF, st=(), xmm=()) -> bytearray:
    """A legacy region; `st` and `xmm` from register 0 on."""
    image = bytearray(512)
    struct.pack_into("<HHB", image, 0, fcw, fsw, ftw)
    struct.pack_into("<II", image, 24, mxcsr, mxcsr_mask)
    for i, value in enumerate(st):
        image[32 + 16 * i : 32 + 16 * i + len(value)] = value
    for i, value in enumerate(xmm):
        image[160 + 16 * i : 176 + 16 * i] = value
    return image


def xsave(xfeatures, xcomp_bv=0, extended=b"", **fields) -> bytearray:
    """An XSAVE area: legacy region, header, then the bytes `extended`."""
    header = struct.pack("<QQ", xfeatures, xcomp_bv).ljust(64, b"\0")
    return legacy(**fields) + header + bytes(extended)


def put(image, offset, data) -> bytearray:
    """Write `data` at `offset`, growing the image with zeros where needed."""
    image.extend(bytes(max(0, offset + len(data) - len(image))))
    image[offset : offset + len(data)] = data
    return image


def float80(negative, exponent, significand) -> bytes:
    return struct.pack("<QH", significand, negative << 15 | exponent)
