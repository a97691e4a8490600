# SPDX-License-Identifier: GPL-2.0-or-later
"""Values of an event file's lines, whose type and range are checked before they are used.

`name` is the key that a value has there.
"""

from __future__ import annotations

import re
from typing import Any

from gdbfpu.errors import CorruptState

__all__ = ("S32", "U64", "flag", "hexadecimal", "listed", "number")

U64 = 1 << 64
"""The first number that is no u64."""
S32 = 1 << 31
"""The first number that is no s32."""

_HEX = re.compile("0x[0-9a-f]{1,16}")


def listed(name: str, value: Any) -> list[Any]:
    """Return `value`, which is a list; raise CorruptState."""
    if type(value) is not list:
        raise CorruptState(f"`{name}` is no list")
    return value


def hexadecimal(name: str, text: Any) -> int:
    """Return the number (u64) that `text` is in hexadecimal; raise CorruptState."""
    if type(text) is not str or not _HEX.fullmatch(text):
        raise CorruptState(f"`{name}` is no hexadecimal number of 64 bits")
    return int(text, 16)


def number(name: str, value: Any, limit: int) -> int:
    """Return `value`, which is a number from 0 to below `limit`; raise CorruptState."""
    if type(value) is not int or not 0 <= value < limit:
        raise CorruptState(f"`{name}` is no number from 0 to {limit - 1}")
    return value


def flag(name: str, value: Any) -> bool:
    """Return `value`, which is true or false; raise CorruptState."""
    if type(value) is not bool:
        raise CorruptState(f"`{name}` is neither true nor false")
    return value
