# SPDX-License-Identifier: GPL-2.0-or-later
"""Check the type and the range of each value in an event file's line before it is used.

In every function, `name` is the value's key in the line.
"""

from __future__ import annotations

import re
from typing import Any

from gdbfpu.errors import CorruptState

__all__ = ("S32", "U64", "flag", "hexadecimal", "listed", "number", "string")

U64 = 1 << 64
"""One more than the largest u64."""
S32 = 1 << 31
"""One more than the largest s32."""

_HEX = re.compile("0x[0-9a-f]{1,16}")


def string(name: str, value: Any) -> str:
    """Return `value` if it is a string, else raise CorruptState."""
    if type(value) is not str:
        raise CorruptState(f"`{name}` is not a string")
    return value


def listed(name: str, value: Any) -> list[Any]:
    """Return `value` if it is a list, else raise CorruptState."""
    if type(value) is not list:
        raise CorruptState(f"`{name}` is not a list")
    return value


def hexadecimal(name: str, text: Any) -> int:
    """Return the u64 that `text` spells in hexadecimal; raise CorruptState for other text."""
    if type(text) is not str or not _HEX.fullmatch(text):
        raise CorruptState(f"`{name}` is not a hexadecimal number of up to 64 bits")
    return int(text, 16)


def number(name: str, value: Any, limit: int) -> int:
    """Return `value` if it is an integer from 0 to `limit` - 1, else raise CorruptState."""
    if type(value) is not int or not 0 <= value < limit:
        raise CorruptState(f"`{name}` is not a number from 0 to {limit - 1}")
    return value


def flag(name: str, value: Any) -> bool:
    """Return `value` if it is true or false, else raise CorruptState."""
    if type(value) is not bool:
        raise CorruptState(f"`{name}` is neither true nor false")
    return value
