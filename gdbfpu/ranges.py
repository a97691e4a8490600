# SPDX-License-Identifier: GPL-2.0-or-later
"""Join ranges of bytes into few reads, since each read costs a packet on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ("joined",)


def joined(
    ranges: Iterable[tuple[int, int]], gap: int, most: int | None = None
) -> Iterator[tuple[int, int]]:
    """Yield the reads that cover `ranges`, in order: each is its start and its end (exclusive).

    `ranges` are pairs of start and end, too. Ranges at most `gap` bytes apart share a read, as
    long as that read has at most `most` bytes (None: no limit). A range longer than `most` is
    not split.
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
