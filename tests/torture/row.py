# SPDX-License-Identifier: GPL-2.0-or-later
"""A line of the table of `make torture`."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ("Row",)


class Row(NamedTuple):
    """`what` was done `times` times. Each of `failures` says what went wrong once, in a line."""

    what: str
    times: int
    failures: tuple[str, ...] = ()
