# SPDX-License-Identifier: GPL-2.0-or-later
"""Which bytes to ask for at once, where each read costs a packet on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ("joined",)


def joined(
    ranges: Iterable[tuple[int, int]], gap: int, most: int | None = None
) -> Iterator[tuple[int, int]]:
    """Yield start and end (exclusive) of the fewest reads that cover `ranges`, in order.

    `ranges` are (start, end) too. Those at most `gap` bytes apart share a read, unless it would
    have more than `most` bytes (None: no limit) by that. A range longer than `most` stays whole.
    """
    run: tuple[int, int] | None = None
    for start, end in sorted(ranges):
        if run is None:
            run = (start, end)
        elif start - run[1] <= gap and (most is None or end - run[0] <= most):
            run = (run[0], max(end, run[1]))
        else:
            yield run
            run = (start, end)
    if run is not None:
        yield run
