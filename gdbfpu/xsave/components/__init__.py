# SPDX-License-Identifier: GPL-2.0-or-later
"""The families of state components. Each decodes its bytes to registers, in reading order."""

from __future__ import annotations

from gdbfpu.xsave.components import amx, apx, avx, avx512, cet, mpx, pkru, sse, supervisor
from gdbfpu.xsave.components.parts import Parts, no_views
from gdbfpu.xsave.components.views import Register
from gdbfpu.xsave.features import COMPONENTS

__all__ = ("extended_registers",)

_FAMILIES = (
    sse.registers,
    avx.registers,
    avx512.registers,
    mpx.registers,
    pkru.registers,
    amx.registers,
    cet.registers,
    apx.registers,
    supervisor.registers,
)
_KNOWN = {component.number for component in COMPONENTS}


def extended_registers(parts: Parts) -> tuple[Register, ...]:
    """Return all registers of `parts` except x87's. Unknown components are called `componentN`."""
    known = [register for family in _FAMILIES for register in family(parts)]
    unknown = (
        Register(f"component{number}", number, raw, no_views, parts.initial(number))
        for number, raw in sorted(parts.data.items())
        if raw and number not in _KNOWN
    )
    return (*known, *unknown)
