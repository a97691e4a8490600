# SPDX-License-Identifier: GPL-2.0-or-later
"""Component 19, APX: the extended general registers r16 to r31 (Intel APX specification, 3.1)."""

from __future__ import annotations

from gdbfpu.xsave.components.parts import Parts, msrs
from gdbfpu.xsave.components.views import Register
from gdbfpu.xsave.features import APX

__all__ = ("registers",)

_NAMES = tuple(f"r{number}" for number in range(16, 32))


def registers(parts: Parts) -> tuple[Register, ...]:
    """Return r16 to r31 (u64)."""
    return msrs(parts, APX, _NAMES)
