# SPDX-License-Identifier: GPL-2.0-or-later
"""Components 11 and 12, CET: shadow stack pointers and the user's control MSR.

Source: Intel SDM volume 1, 17.1.2 (IA32_U_CET) and 13.5.9.
"""

from __future__ import annotations

from gdbfpu.xsave.components.parts import Parts, chunks, msrs
from gdbfpu.xsave.components.views import Register, Views, flag_names, hex_value, uint64
from gdbfpu.xsave.features import CET_S, CET_U

__all__ = ("registers",)

_BITMAP = 0xFFFFFFFFFFFFF000
_FLAGS = {
    0: "SH_STK_EN",
    1: "WR_SHSTK_EN",
    2: "ENDBR_EN",
    3: "LEG_IW_EN",
    4: "NO_TRACK_EN",
    5: "SUPPRESS_DIS",
    10: "SUPPRESS",
    11: "TRACKER",
}


def registers(parts: Parts) -> tuple[Register, ...]:
    """Return u_cet and pl3_ssp (CET_U), then pl0_ssp to pl2_ssp (CET_S)."""
    user = zip((("u_cet", _views), ("pl3_ssp", uint64)), chunks(parts.data.get(CET_U, b""), 8))
    found = [
        Register(name, CET_U, raw, viewer, parts.initial(CET_U)) for (name, viewer), raw in user
    ]
    return (*found, *msrs(parts, CET_S, ("pl0_ssp", "pl1_ssp", "pl2_ssp")))


def _views(raw: bytes) -> Views:
    value = int.from_bytes(raw, "little")
    flags = flag_names(value, _FLAGS, _BITMAP)
    return {"hex": hex_value(raw), "flags": flags, "eb_leg_bitmap": f"{value & _BITMAP:#x}"}
