# SPDX-License-Identifier: GPL-2.0-or-later
"""Registers, and the ways to look at their bytes: integers and floats of every width.

The views have GDB's names (`v4_float`, `v16_int8`, `uint128`). A value that is not finite is a
string, `inf` or `nan(0x7fc00001)`; the latter has the raw bits, so no payload is lost.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

__all__ = (
    "Register",
    "View",
    "Views",
    "bfloat16s",
    "flag_names",
    "floats",
    "hex_value",
    "integer_vector",
    "integers",
    "uint64",
    "vector",
)

View = Union[int, float, str, tuple[Any, ...]]
"""A number, a text, or a tuple of views."""
Views = dict[str, View]
"""What a register's bytes mean: each view's name and what it shows."""

_FLOATS = {2: "e", 4: "f", 8: "d"}


@dataclass(frozen=True)
class Register:
    """One register as the program sees it.

    `component` is the number of its state component. `raw` is its bytes in memory order (little
    endian). `initial` is true if the register's header bits are clear. Then `raw` has the initial
    state, whatever memory holds.
    """

    name: str
    component: int
    raw: bytes
    viewer: Callable[[bytes], Views] = field(repr=False, compare=False)
    initial: bool = False

    @property
    def views(self) -> Views:
        """Return the views of the register by name; they are computed on each call."""
        return self.viewer(self.raw)


def integers(raw: bytes, width: int, signed: bool = True) -> tuple[int, ...]:
    """Return the integers of `width` bytes in `raw`, lowest address first."""
    return tuple(
        int.from_bytes(raw[start : start + width], "little", signed=signed)
        for start in range(0, len(raw) - width + 1, width)
    )


def floats(raw: bytes, width: int) -> tuple[float | str, ...]:
    """Return the IEEE 754 numbers of `width` bytes (2, 4 or 8) in `raw`, lowest address first."""
    values = struct.unpack(f"<{len(raw) // width}{_FLOATS[width]}", raw)
    return _named(values, integers(raw, width, signed=False), width)


def bfloat16s(raw: bytes) -> tuple[float | str, ...]:
    """Return the bfloat16 numbers in `raw`, lowest address first."""
    words = integers(raw, 2, signed=False)
    values = struct.unpack(f"<{len(words)}f", b"".join(struct.pack("<HH", 0, w) for w in words))
    return _named(values, words, 2)


def _named(values: Iterable[float], words: Iterable[int], width: int) -> tuple[float | str, ...]:
    return tuple(
        value if math.isfinite(value) else _not_finite(value, word, width)
        for value, word in zip(values, words)
    )


def _not_finite(value: float, word: int, width: int) -> str:
    """Return `inf`, `-inf`, or `nan` with its raw bits `word`."""
    return f"nan({word:#0{2 * width + 2}x})" if math.isnan(value) else str(value)


def vector(raw: bytes) -> Views:
    """Return all views of a vector register of 16, 32 or 64 bytes, named as GDB does."""
    size = len(raw)
    return {
        f"v{size // 2}_bfloat16": bfloat16s(raw),
        f"v{size // 2}_half": floats(raw, 2),
        f"v{size // 4}_float": floats(raw, 4),
        f"v{size // 8}_double": floats(raw, 8),
        **integer_vector(raw),
    }


def integer_vector(raw: bytes) -> Views:
    """Return the integer views of a vector register, of 8 bytes (MMX) or more."""
    size = len(raw)
    views: Views = {}
    for width in (1, 2, 4, 8, 16):
        count = size // width
        if count > 1:
            views[f"v{count}_int{8 * width}"] = integers(raw, width)
    if size <= 16:
        views[f"uint{8 * size}"] = int.from_bytes(raw, "little")
    return views


def hex_value(raw: bytes) -> str:
    """Return `raw` (little endian) as a hexadecimal number with all its digits."""
    return f"{int.from_bytes(raw, 'little'):#0{2 * len(raw) + 2}x}"


def uint64(raw: bytes) -> Views:
    """Return the views of a plain u64."""
    return {"uint64": int.from_bytes(raw, "little"), "hex": hex_value(raw)}


def flag_names(value: int, names: Mapping[int, str], fields: int = 0) -> tuple[str, ...]:
    """Return the names of the bits set in `value`, `bit N` for those that `names` lacks.

    `fields` is the mask of the bits that are not flags.
    """
    flags = value & ~fields
    return tuple(names.get(bit, f"bit {bit}") for bit in range(64) if flags >> bit & 1)
