# SPDX-License-Identifier: GPL-2.0-or-later
"""A line of the table of `make torture`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable, NamedTuple

__all__ = ("Part", "Row")


class Row(NamedTuple):
    """`what` was done `times` times. Each of `failures` says what went wrong once, in a line."""

    what: str
    times: int
    failures: tuple[str, ...] = ()


Part = Callable[[int], Iterator[Row]]
"""A part of the torture. It is called with 1, or with 10 to do everything a tenth as often."""
