# SPDX-License-Identifier: GPL-2.0-or-later
"""Parts: the bytes of the components, initial values where the header says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gdbfpu.xsave.components.views import Register, Views, uint64

__all__ = ("Parts", "chunks", "msrs", "no_views")


@dataclass(frozen=True)
class Parts:
    """The bytes of the components by number, and `in_use` (u64), the header's bits.

    A component whose bit is clear has its initial values in `data`. Where the image is cut, a
    component has fewer bytes than its size.
    """

    data: Mapping[int, bytes]
    in_use: int

    def initial(self, *numbers: int) -> bool:
        """Return whether all components of `numbers` are in their initial state."""
        return not any(self.in_use >> number & 1 for number in numbers)


def chunks(data: bytes, size: int) -> tuple[bytes, ...]:
    """Return `data` in pieces of `size` bytes, without a shorter one at the end."""
    return tuple(data[i : i + size] for i in range(0, len(data) - size + 1, size))


def msrs(parts: Parts, number: int, names: tuple[str, ...]) -> tuple[Register, ...]:
    """Return component `number` as consecutive u64 registers called `names`."""
    words = chunks(parts.data.get(number, b""), 8)
    initial = parts.initial(number)
    return tuple(Register(name, number, word, uint64, initial) for name, word in zip(names, words))


def no_views(raw: bytes) -> Views:
    """Return no views: we know nothing about `raw` but its bytes."""
    return {}
