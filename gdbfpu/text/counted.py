# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers of things in a sentence."""

from __future__ import annotations

__all__ = ("counted",)


def counted(number: int, thing: str) -> str:
    """Return `1 hit`, `2 hits`, of a `thing` whose plural ends in s."""
    return f"{number} {thing}{'' if number == 1 else 's'}"
