# SPDX-License-Identifier: GPL-2.0-or-later
"""Count things in a sentence."""

from __future__ import annotations

__all__ = ("counted",)


def counted(number: int, thing: str) -> str:
    """Return the number and the `thing`, in the plural if needed: `1 hit`, `2 hits`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
