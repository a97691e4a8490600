# SPDX-License-Identifier: GPL-2.0-or-later
"""Component 0, the x87 unit: control, status and tag words, ST(i), and MMX in its registers.

Source: Intel SDM volume 1, 8.1.3 to 8.1.7; GDB's names for the flags.
"""

from __future__ import annotations

from functools import partial

from gdbfpu.xsave.components.float80 import Float80
from gdbfpu.xsave.components.views import (
    Register,
    View,
    Views,
    flag_names,
    hex_value,
    integer_vector,
)
from gdbfpu.xsave.legacy import X87

__all__ = ("ROUNDING", "TAGS", "registers")

TAGS = ("valid", "zero", "special", "empty")
"""The meaning of a two-bit tag."""
ROUNDING = ("to nearest", "down", "up", "toward zero")
"""The meaning of the two-bit RC field of FCW and MXCSR."""

_PRECISION = ("single (24 bits)", "reserved", "double (53 bits)", "double extended (64 bits)")
_FCW_FLAGS = {0: "IM", 1: "DM", 2: "ZM", 3: "OM", 4: "UM", 5: "PM", 12: "X"}
_FCW_FIELDS = 0x0F40  # PC, RC, and bit 6, which FNINIT sets and the SDM reserves
_FSW_FLAGS = dict(enumerate(("IE", "DE", "ZE", "OE", "UE", "PE", "SF", "ES", "C0", "C1", "C2")))
_FSW_FLAGS.update({14: "C3", 15: "B"})
_FSW_FIELDS = 0x3800


def registers(x87: X87, ftw: bytes, initial: bool = False) -> tuple[Register, ...]:
    """Return the registers of `x87`: the control words, ST(0) to ST(7), MM0 to MM7.

    `ftw` is the tag word as memory has it: one byte if abridged, two if full.
    """
    width = 8 if len(ftw) == 1 else 4
    plain = [("fop", x87.fop, 2), ("fip", x87.fip, width), ("fdp", x87.fdp, width)]
    if len(ftw) == 2:
        plain += [("fcs", x87.fcs, 2), ("fds", x87.fds, 2)]
    found = [
        Register("fcw", 0, x87.fcw.to_bytes(2, "little"), _fcw_views, initial),
        Register("fsw", 0, x87.fsw.to_bytes(2, "little"), _fsw_views, initial),
        Register("ftw", 0, ftw, partial(_ftw_views, x87), initial),
    ]
    found += [Register(n, 0, v.to_bytes(w, "little"), _number, initial) for n, v, w in plain]
    for i, value in enumerate(x87.st):
        viewer = partial(_st_views, TAGS[x87.tag(i)])
        found.append(Register(f"st{i}", 0, value, viewer, initial))
    found += [Register(f"mm{j}", 0, value, integer_vector, initial) for j, value in x87.mm]
    return tuple(found)


def _number(raw: bytes) -> Views:
    return {"value": int.from_bytes(raw, "little"), "hex": hex_value(raw)}


def _fcw_views(raw: bytes) -> Views:
    value = int.from_bytes(raw, "little")
    return {
        **_number(raw),
        "flags": flag_names(value, _FCW_FLAGS, _FCW_FIELDS),
        "precision": _PRECISION[value >> 8 & 3],
        "rounding": ROUNDING[value >> 10 & 3],
    }


def _fsw_views(raw: bytes) -> Views:
    value = int.from_bytes(raw, "little")
    flags = flag_names(value, _FSW_FLAGS, _FSW_FIELDS)
    return {**_number(raw), "flags": flags, "top": value >> 11 & 7}


def _ftw_views(x87: X87, raw: bytes) -> Views:
    tags: tuple[View, ...] = tuple(TAGS[x87.ftw >> 2 * j & 3] for j in range(8))
    return {"full": f"{x87.ftw:#06x}", "abridged": f"{x87.abridged_ftw:#04x}", "tags": tags}


def _st_views(tag: str, raw: bytes) -> Views:
    number = Float80.from_bytes(raw)
    return {
        "decimal": number.decimal,
        "hexfloat": number.hexfloat,
        "raw": number.raw,
        "class": number.kind,
        "tag": tag,
    }
