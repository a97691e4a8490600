# SPDX-License-Identifier: GPL-2.0-or-later
"""Write call paths as folded stacks, the input of flame graph tools: `root;caller;function N`.

Each line is a stack from the outermost frame to the innermost, and how often it was seen.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable

from gdbfpu.report.event_hits import EventHit
from gdbfpu.trace.totals import MAX_PATHS
from gdbfpu.xsave import features

__all__ = ("ROOTS", "Folded", "Stacks")

ROOTS: dict[str, Callable[[EventHit], str]] = {
    "task": lambda hit: hit[0].comm,
    "cpu": lambda hit: f"CPU {hit[2].cpu}",
    "component": lambda hit: features.describe(hit[2].mask),
}
"""The outermost frame of a hit's stack, by the name that `--root` takes."""

_OTHERS = ("(other stacks)",)


class Stacks:
    """Counts the stacks of hits. `root` is a key of ROOTS."""

    def __init__(self, root: str) -> None:
        self._root = ROOTS[root]
        self._counts: Counter[tuple[str, ...]] = Counter()

    def add(self, hit: EventHit) -> None:
        """Count the stack of `hit`. Beyond MAX_PATHS, other stacks are counted together."""
        stack = (self._root(hit), *hit[1])
        if stack not in self._counts and len(self._counts) >= MAX_PATHS:
            stack = _OTHERS
        self._counts[stack] += 1

    def counts(self) -> dict[tuple[str, ...], int]:
        """Return how often each stack was seen; the outermost frame of a stack comes first."""
        return {(stack[0], *stack[:0:-1]): count for stack, count in self._counts.items()}


class Folded:
    """Counts stacks, and writes them with `put`, which takes lines without their end."""

    def __init__(self, put: Callable[[str], object], root: str) -> None:
        self._put, self._stacks = put, Stacks(root)

    def add(self, _event: dict[str, Any], hit: EventHit) -> None:
        """Count the stack of `hit`."""
        self._stacks.add(hit)

    def end(self) -> None:
        """Write all stacks, in alphabetical order."""
        counts = self._stacks.counts().items()
        for line in sorted(f"{';'.join(map(_frame, stack))} {count}" for stack, count in counts):
            self._put(line)


def _frame(name: str) -> str:
    """Return `name` without the character that ends a frame."""
    return name.replace(";", ":")
