# SPDX-License-Identifier: GPL-2.0-or-later
"""Components that hold MSRs: PT, PASID, HDC, user interrupts, architectural LBRs, HWP.

Source: Intel SDM volume 1, 13.5.7 to 13.5.14, and volume 4 for the fields; for the LBRs
`struct arch_lbr_state` in the kernel's arch/x86/include/asm/fpu/types.h.
"""

from __future__ import annotations

from collections.abc import Callable

from gdbfpu.xsave.components.parts import Parts, chunks, msrs
from gdbfpu.xsave.components.views import Register, Views, hex_value, uint64
from gdbfpu.xsave.features import HDC, HWP, LBR, PASID, PT, UINTR

__all__ = ("registers",)

_PT = (
    "rtit_ctl",
    "rtit_output_base",
    "rtit_output_mask_ptrs",
    "rtit_status",
    "rtit_cr3_match",
    "rtit_addr0_a",
    "rtit_addr0_b",
    "rtit_addr1_a",
    "rtit_addr1_b",
)
_LBR = ("lbr_ctl", "lbr_depth", "ler_from", "ler_to", "ler_info")
_LBR_HEAD = 40
_LBR_ENTRY = 24


def registers(parts: Parts) -> tuple[Register, ...]:
    """Return the registers of components 8, 10, 13, 14, 15 and 16, in that order."""
    return (
        *msrs(parts, PT, _PT),
        *_one(parts, PASID, "pasid", _pasid_views),
        *_one(parts, HDC, "pm_ctl1", uint64),
        *_uintr(parts),
        *_lbr(parts),
        *_one(parts, HWP, "hwp_request", _hwp_views),
    )


def _one(
    parts: Parts, number: int, name: str, viewer: Callable[[bytes], Views]
) -> tuple[Register, ...]:
    raw = parts.data.get(number, b"")[:8]
    return (Register(name, number, raw, viewer, parts.initial(number)),) if len(raw) == 8 else ()


def _uintr(parts: Parts) -> tuple[Register, ...]:
    names = ("ui_handler", "ui_stackadjust", "ui_misc", "ui_pd", "ui_rr", "ui_tt")
    words = zip(names, chunks(parts.data.get(UINTR, b""), 8))
    return tuple(
        Register(
            name, UINTR, raw, _ui_misc_views if name == "ui_misc" else uint64, parts.initial(UINTR)
        )
        for name, raw in words
    )


def _lbr(parts: Parts) -> tuple[Register, ...]:
    entries = chunks(parts.data.get(LBR, b"")[_LBR_HEAD:], _LBR_ENTRY)
    initial = parts.initial(LBR)
    found = (Register(f"lbr{i}", LBR, v, _lbr_views, initial) for i, v in enumerate(entries))
    return (*msrs(parts, LBR, _LBR), *found)


def _pasid_views(raw: bytes) -> Views:
    value = int.from_bytes(raw, "little")
    return {"hex": hex_value(raw), "pasid": value & 0xFFFFF, "valid": bool(value >> 31 & 1)}


def _ui_misc_views(raw: bytes) -> Views:
    value = int.from_bytes(raw, "little")
    return {
        "hex": hex_value(raw),
        "uittsz": value & 0xFFFFFFFF,
        "uinv": value >> 32 & 0xFF,
        "uif": bool(value >> 63),
    }


def _lbr_views(raw: bytes) -> Views:
    return {"from": hex_value(raw[:8]), "to": hex_value(raw[8:16]), "info": hex_value(raw[16:])}


def _hwp_views(raw: bytes) -> Views:
    value = int.from_bytes(raw, "little")
    return {
        "hex": hex_value(raw),
        "minimum": value & 0xFF,
        "maximum": value >> 8 & 0xFF,
        "desired": value >> 16 & 0xFF,
        "preference": value >> 24 & 0xFF,
        "window": value >> 32 & 0x3FF,
        "package_control": bool(value >> 42 & 1),
    }
