# SPDX-License-Identifier: GPL-2.0-or-later
"""The hits of a trace that a script has not taken yet, in bounded memory."""

from __future__ import annotations

from gdbfpu.trace.event_file import Hit

__all__ = ("MAX_KEPT", "Kept")

MAX_KEPT = 100_000
"""The most hits to keep. The oldest give way to new ones, and are counted as lost."""


class Kept:
    """Hits in their order, each until it is taken. `lost` counts those that gave way."""

    def __init__(self) -> None:
        self.lost = 0
        self._hits: dict[int, Hit] = {}
        self._taken = 0  # the number of the last hit that was taken or lost

    def keep(self, hit: Hit) -> None:
        """Keep `hit`. A second call changes nothing."""
        if hit.seq not in self._hits and len(self._hits) >= MAX_KEPT:
            del self._hits[next(iter(self._hits))]
        self._hits[hit.seq] = hit

    def take(self) -> Hit | None:
        """Return the oldest hit that was not taken yet, None if there is none."""
        if not self._hits:
            return None
        seq = next(iter(self._hits))
        self.lost += seq - self._taken - 1
        self._taken = seq
        return self._hits.pop(seq)
