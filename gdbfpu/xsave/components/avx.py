# SPDX-License-Identifier: GPL-2.0-or-later
"""Component 2, AVX: each YMM register joined from its XMM half and its YMM_Hi128 half."""

from __future__ import annotations

from gdbfpu.xsave.components.parts import Parts, chunks
from gdbfpu.xsave.components.views import Register, vector
from gdbfpu.xsave.features import AVX, SSE

__all__ = ("registers",)


def registers(parts: Parts) -> tuple[Register, ...]:
    """Return those of ymm0 to ymm15 whose halves are both there (SDM volume 1, 13.5.3)."""
    low = chunks(parts.data.get(SSE, b""), 16)
    high = chunks(parts.data.get(AVX, b""), 16)
    initial = parts.initial(SSE, AVX)
    return tuple(
        Register(f"ymm{i}", AVX, a + b, vector, initial) for i, (a, b) in enumerate(zip(low, high))
    )
