# SPDX-License-Identifier: GPL-2.0-or-later
"""Lay out call paths as a flame graph: each frame as wide as its share of the hits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ("Frame", "flame")

_THINNEST = 1 / 2000  # of the width; narrower frames share one


@dataclass(frozen=True)
class Frame:
    """A frame of a flame graph. `left` and `width` are shares of the whole, `depth` counts rows."""

    name: str
    depth: int
    left: float
    width: float
    hits: int


@dataclass
class _Node:
    hits: int = 0
    inner: dict[str, _Node] = field(default_factory=dict)


def flame(stacks: Mapping[tuple[str, ...], int]) -> list[Frame]:
    """Return the frames of `stacks`, each with its hits; a stack has its outermost frame first."""
    whole = _tree(stacks.items())
    frames: list[Frame] = []
    if whole.hits:
        _lay(whole, 0, 0.0, 1 / whole.hits, frames)
    return frames


def _tree(stacks: Iterable[tuple[tuple[str, ...], int]]) -> _Node:
    whole = _Node()
    for stack, hits in stacks:
        node = whole
        node.hits += hits
        for name in stack:
            node = node.inner.setdefault(name, _Node())
            node.hits += hits
    return whole


def _lay(node: _Node, depth: int, left: float, scale: float, frames: list[Frame]) -> None:
    others: list[int] = []
    for name, inner in sorted(node.inner.items(), key=lambda item: -item[1].hits):
        width = inner.hits * scale
        if width >= _THINNEST:
            frames.append(Frame(name, depth, left, width, inner.hits))
            _lay(inner, depth + 1, left, scale, frames)
            left += width
        else:
            others.append(inner.hits)
    hits = sum(others)
    if hits * scale >= _THINNEST:
        frames.append(Frame(f"({len(others)} others)", depth, left, hits * scale, hits))
