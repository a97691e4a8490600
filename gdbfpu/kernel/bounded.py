# SPDX-License-Identifier: GPL-2.0-or-later
"""A cache with a limit, for what we know of tasks: a kernel never stops creating new tasks."""

from __future__ import annotations

from typing import TypeVar

__all__ = ("MAX_KNOWN", "remember")

MAX_KNOWN = 4096
"""The largest number of entries that `remember` keeps."""

_T = TypeVar("_T")


def remember(cache: dict[int, _T], key: int, value: _T) -> None:
    """Keep `value` under `key`. If `cache` is full, first drop everything: we can read it again."""
    if len(cache) >= MAX_KNOWN and key not in cache:
        cache.clear()
    cache[key] = value
