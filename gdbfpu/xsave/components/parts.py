# SPDX-License-Identifier: GPL-2.0-or-later
"""Parts: what the component families decode, with the initial-state rule already applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gdbfpu.xsave.components.views import Register, Views, uint64

__all__ = ("Parts", "chunks", "msrs", "no_views")


@dataclass(frozen=True)
class Parts:
    """The bytes that count, by component number, and `in_use` (u64): which are not initial.

    `data` holds initial values for a component whose header bit is clear, and fewer bytes than
    the component has where the image is short.
    """

    data: Mapping[int, bytes]
    in_use: int

    def initial(self, *numbers: int) -> bool:
        """Return whether all components of `numbers` are in their initial state."""
        return not any(self.in_use >> number & 1 for number in numbers)


def chunks(data: bytes, size: int) -> tuple[bytes, ...]:
    """Return the whole pieces of `size` bytes in `data`; a rest is left out."""
    return tuple(data[i : i + size] for i in range(0, len(data) - size + 1, size))


def msrs(parts: Parts, number: int, names: tuple[str, ...]) -> tuple[Register, ...]:
    """Return component `number` as consecutive u64 registers called `names`."""
    words = chunks(parts.data.get(number, b""), 8)
    initial = parts.initial(number)
    return tuple(Register(name, number, word, uint64, initial) for name, word in zip(names, words))


def no_views(raw: bytes) -> Views:
    """Return no views: nothing but the bytes `raw` is known."""
    return {}
