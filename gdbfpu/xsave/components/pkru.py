# SPDX-License-Identifier: GPL-2.0-or-later
"""Component 9, PKRU: what user code may access with each of the sixteen protection keys.

Source: Intel SDM volume 3, 4.6.2: AD (access disable) is bit 2i, WD (write disable) 2i+1.
"""

from __future__ import annotations

from gdbfpu.xsave.components.parts import Parts
from gdbfpu.xsave.components.views import Register, Views, hex_value
from gdbfpu.xsave.features import PKRU

__all__ = ("registers",)

_RIGHTS = ("read-write", "none", "read", "none")


def registers(parts: Parts) -> tuple[Register, ...]:
    """Return pkru (u32), or nothing if some of its bytes are missing."""
    raw = parts.data.get(PKRU, b"")[:4]
    return (Register("pkru", PKRU, raw, _views, parts.initial(PKRU)),) if len(raw) == 4 else ()


def _views(raw: bytes) -> Views:
    value = int.from_bytes(raw, "little")
    rights = tuple(_RIGHTS[value >> 2 * key & 3] for key in range(16))
    return {"value": value, "hex": hex_value(raw), "rights": rights}
