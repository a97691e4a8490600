# SPDX-License-Identifier: GPL-2.0-or-later
"""Component 1, SSE: MXCSR and the XMM registers.

Source: Intel SDM volume 1, 10.2.3 (MXCSR); bit 17 (MM) is AMD's misaligned exception mask.
"""

from __future__ import annotations

from gdbfpu.xsave.components.parts import Parts, chunks
from gdbfpu.xsave.components.views import Register, Views, flag_names, hex_value, vector
from gdbfpu.xsave.components.x87 import ROUNDING
from gdbfpu.xsave.features import SSE

__all__ = ("control_registers", "registers")

_EXCEPTIONS = ("I", "D", "Z", "O", "U", "P")
_FLAGS = {bit: f"{letter}E" for bit, letter in enumerate(_EXCEPTIONS)}
_FLAGS.update({7 + bit: f"{letter}M" for bit, letter in enumerate(_EXCEPTIONS)})
_FLAGS.update({6: "DAZ", 15: "FTZ", 17: "MM"})
_ROUNDING_FIELD = 3 << 13


def control_registers(mxcsr: int, mxcsr_mask: int, initial: bool) -> tuple[Register, ...]:
    """Return MXCSR and MXCSR_MASK (u32 each). They do not lie beside the XMM registers."""
    return (
        Register("mxcsr", SSE, mxcsr.to_bytes(4, "little"), _mxcsr_views, initial),
        Register("mxcsr_mask", SSE, mxcsr_mask.to_bytes(4, "little"), _mask_views),
    )


def registers(parts: Parts) -> tuple[Register, ...]:
    """Return xmm0 to xmm15."""
    values = chunks(parts.data.get(SSE, b""), 16)
    initial = parts.initial(SSE)
    return tuple(Register(f"xmm{i}", SSE, v, vector, initial) for i, v in enumerate(values))


def _mxcsr_views(raw: bytes) -> Views:
    value = int.from_bytes(raw, "little")
    return {
        "value": value,
        "hex": hex_value(raw),
        "flags": flag_names(value, _FLAGS, _ROUNDING_FIELD),
        "rounding": ROUNDING[value >> 13 & 3],
        "ftz": bool(value >> 15 & 1),
        "daz": bool(value >> 6 & 1),
    }


def _mask_views(raw: bytes) -> Views:
    return {"value": int.from_bytes(raw, "little"), "hex": hex_value(raw)}
