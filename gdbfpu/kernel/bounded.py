# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that does not grow for ever with the tasks of a kernel that goes on making new ones."""

from __future__ import annotations

from typing import TypeVar

__all__ = ("MOST_KNOWN", "remember")

MOST_KNOWN = 4096
"""The most entries that `remember` keeps."""

_T = TypeVar("_T")


def remember(memory: dict[int, _T], key: int, value: _T) -> None:
    """Keep `value` under `key`; one entry too many, and all others go: they can be read anew."""
    if len(memory) >= MOST_KNOWN and key not in memory:
        memory.clear()
    memory[key] = value
