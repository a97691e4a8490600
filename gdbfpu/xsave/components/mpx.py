# SPDX-License-Identifier: GPL-2.0-or-later
"""Components 3 and 4, MPX: the bound registers and their configuration.

Source: Intel SDM volume 1 (before 2019), 17.3 and appendix E: BNDn holds the lower bound and
the one's complement of the upper; BNDCFGU and BNDSTATUS.
"""

from __future__ import annotations

from gdbfpu.xsave.components.parts import Parts, chunks
from gdbfpu.xsave.components.views import Register, Views, flag_names, hex_value
from gdbfpu.xsave.features import BNDCSR, BNDREGS

__all__ = ("registers",)

_PAGE = 0xFFFFFFFFFFFFF000
_ALL_ONES = 0xFFFFFFFFFFFFFFFF


def registers(parts: Parts) -> tuple[Register, ...]:
    """Return bnd0 to bnd3, bndcfgu and bndstatus."""
    bounds = chunks(parts.data.get(BNDREGS, b""), 16)
    found = [
        Register(f"bnd{i}", BNDREGS, v, _bnd_views, parts.initial(BNDREGS))
        for i, v in enumerate(bounds)
    ]
    names = (("bndcfgu", _bndcfgu_views), ("bndstatus", _bndstatus_views))
    for (name, viewer), raw in zip(names, chunks(parts.data.get(BNDCSR, b""), 8)):
        found.append(Register(name, BNDCSR, raw, viewer, parts.initial(BNDCSR)))
    return tuple(found)


def _bnd_views(raw: bytes) -> Views:
    upper = int.from_bytes(raw[8:], "little") ^ _ALL_ONES
    return {"lbound": hex_value(raw[:8]), "ubound": f"{upper:#018x}"}


def _bndcfgu_views(raw: bytes) -> Views:
    value = int.from_bytes(raw, "little")
    flags = flag_names(value, {0: "EN", 1: "BNDPRESERVE"}, _PAGE)
    return {"hex": hex_value(raw), "base": f"{value & _PAGE:#x}", "flags": flags}


def _bndstatus_views(raw: bytes) -> Views:
    value = int.from_bytes(raw, "little")
    return {"hex": hex_value(raw), "error": value & 3, "abd": f"{value & ~3:#x}"}
