# SPDX-License-Identifier: GPL-2.0-or-later
"""Components 5 to 7, AVX-512: the opmask registers and the ZMM registers joined from parts.

Source: Intel SDM volume 1, 13.5.6: zmm0 to zmm15 are XMM, YMM_Hi128 and ZMM_Hi256 together,
zmm16 to zmm31 lie whole in Hi16_ZMM.
"""

from __future__ import annotations

from gdbfpu.xsave.components.parts import Parts, chunks
from gdbfpu.xsave.components.views import Register, uint64, vector
from gdbfpu.xsave.features import AVX, HI16_ZMM, OPMASK, SSE, ZMM_HI256

__all__ = ("registers",)

_HIGH_NAMES = (("xmm", 16), ("ymm", 32), ("zmm", 64))


def registers(parts: Parts) -> tuple[Register, ...]:
    """Return k0 to k7, zmm0 to zmm15, and xmm, ymm and zmm 16 to 31."""
    masks = chunks(parts.data.get(OPMASK, b""), 8)
    found = [
        Register(f"k{i}", OPMASK, v, uint64, parts.initial(OPMASK)) for i, v in enumerate(masks)
    ]
    return (*found, *_low(parts), *_high(parts))


def _low(parts: Parts) -> tuple[Register, ...]:
    xmm = chunks(parts.data.get(SSE, b""), 16)
    ymm = chunks(parts.data.get(AVX, b""), 16)
    zmm = chunks(parts.data.get(ZMM_HI256, b""), 32)
    initial = parts.initial(SSE, AVX, ZMM_HI256)
    return tuple(
        Register(f"zmm{i}", ZMM_HI256, a + b + c, vector, initial)
        for i, (a, b, c) in enumerate(zip(xmm, ymm, zmm))
    )


def _high(parts: Parts) -> tuple[Register, ...]:
    values = chunks(parts.data.get(HI16_ZMM, b""), 64)
    initial = parts.initial(HI16_ZMM)
    return tuple(
        Register(f"{name}{16 + i}", HI16_ZMM, value[:size], vector, initial)
        for name, size in _HIGH_NAMES
        for i, value in enumerate(values)
    )
