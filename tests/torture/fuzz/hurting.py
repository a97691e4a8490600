# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes that hurt: numbers that are counts, sizes and references become impossible ones."""

from __future__ import annotations

from random import Random

__all__ = ("NUMBERS", "number", "some_bytes")

NUMBERS = (
    *(0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 63, 64, 127, 128, 255, 256, 511, 512, 576, 1023, 4095, 4096),
    *(0x7FFF, 0x8000, 0xFFFF, 1 << 16, 1 << 20, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32),
    *((1 << 63) - 1, 1 << 63, (1 << 64) - 8, (1 << 64) - 1),
)
"""Numbers at which something ends."""


def number(data: bytearray, at: int, size: int, random: Random) -> None:
    """Change the number of `size` bytes at `at`: another, one more or less, a bit, a reference."""
    if not 0 <= at <= len(data) - size:
        return
    value = int.from_bytes(data[at : at + size], "little")
    changed = (
        lambda: random.choice(NUMBERS),
        lambda: value + random.choice((-8, -1, 1, 8)),
        lambda: value ^ 1 << random.randrange(8 * size),
        lambda: random.randrange(len(data) + 1),
        lambda: at,
    )
    data[at : at + size] = (random.choice(changed)() % (1 << 8 * size)).to_bytes(size, "little")


def some_bytes(data: bytearray, start: int, end: int, random: Random) -> None:
    """Change a number somewhere from `start` to `end`."""
    size = random.choice((1, 1, 2, 4, 4, 8))
    if end - start >= size:
        number(data, random.randrange(start, end - size + 1), size, random)
