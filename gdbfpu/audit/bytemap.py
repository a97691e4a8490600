# SPDX-License-Identifier: GPL-2.0-or-later
"""Map one task's area: what each byte is, and where the kernel copies stale bytes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import fill
from typing import Any

from gdbfpu.audit.finding import name_of
from gdbfpu.audit.paths import ExportPath, export_paths, inherit_paths
from gdbfpu.audit.snapshot import Snapshot, TaskView
from gdbfpu.audit.stale import stale_components
from gdbfpu.errors import UsageError
from gdbfpu.text.fit import Fit
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.text.table import table
from gdbfpu.xsave.area import EXTENDED_OFFSET, LEGACY_SIZE, in_use
from gdbfpu.xsave.features import FPSSE, component_name
from gdbfpu.xsave.legacy import CONTROL_SIZE, MXCSR_OFFSET, SW_RESERVED_OFFSET, XMM_END, XMM_OFFSET

__all__ = ("ByteMap", "Piece", "map_json", "map_table", "read_map")

_FIXED = (
    (MXCSR_OFFSET, CONTROL_SIZE, "MXCSR and its mask", "in use"),
    (XMM_END, SW_RESERVED_OFFSET, "reserved", "reserved"),
    (SW_RESERVED_OFFSET, LEGACY_SIZE, "software", "padding"),
)
_ST_STARTS = range(CONTROL_SIZE, XMM_OFFSET, 16)  # of each ST(i)
_PADDING = [
    (5, 6),
    *((start + 10, start + 16) for start in _ST_STARTS),
]  # bytes of an FXSAVE64 image that belong to no register
_HOW_WIDTH = 48  # columns
_WAYS = ("way out", "function", "stale bytes", "how")
_DUMP_WIDTH = 32  # bytes on a line of a dump


@dataclass(frozen=True)
class Piece:
    """Consecutive bytes of one kind in an area: `start` to `end` (exclusive), of `component`.

    `kind` is `in use`, `initial` (the header's bit is clear, and the bytes are initial), `stale`,
    `header`, `reserved` or `padding`. `dirty` is the number of bytes that should be zero and are
    not.
    """

    start: int
    end: int
    component: str
    kind: str
    dirty: int


@dataclass(frozen=True)
class ByteMap:
    """The map of `view`'s area, and the number of stale bytes that each path copies."""

    view: TaskView
    pieces: tuple[Piece, ...]
    paths: tuple[tuple[ExportPath, int], ...]


def read_map(snapshot: Snapshot, view: TaskView) -> ByteMap:
    """Return the map of `view`'s area; raise UsageError if it has no area."""
    if not view.image:
        raise UsageError(f"{name_of(view.task)} has no FPU state in memory to map")
    stale = stale_components(snapshot, view)
    places = {place for component in stale for place in component.places}
    kinds = [("padding", "")] * len(view.image)
    for start, end, component, kind in _regions(snapshot, view):
        for at in range(start, min(end, len(kinds))):
            kinds[at] = ("stale" if at in places else kind, component)
    legacy = sum(place < LEGACY_SIZE for place in places)
    paths = (*export_paths(snapshot), *inherit_paths(snapshot))
    copies = ((path, (legacy if path.legacy else len(places)) * path.raw) for path in paths)
    return ByteMap(view, tuple(_pieces(kinds, view.image)), tuple(copies))


def _regions(snapshot: Snapshot, view: TaskView) -> Iterator[tuple[int, int, str, str]]:
    """Yield start, end, component and kind of regions; later regions cover earlier ones."""
    header = view.header
    used = FPSSE if header is None else in_use(header)
    for span in snapshot.spans(view.image):
        kind = "in use" if used >> span.number & 1 else "initial"
        yield span.offset, span.end, component_name(span.number), kind
    for start, end, name, kind in _FIXED:
        yield start, end, name, kind
    for start, end in _PADDING:
        yield start, end, "x87", "padding"
    if header is not None:
        yield LEGACY_SIZE, EXTENDED_OFFSET, "", "header"


def _pieces(kinds: Sequence[tuple[str, str]], image: bytes) -> Iterator[Piece]:
    for (kind, component), group in groupby(range(len(kinds)), key=lambda at: kinds[at]):
        places = list(group)
        start, end = places[0], places[-1] + 1
        dirty = sum(map(bool, image[start:end])) if kind in ("stale", "reserved", "padding") else 0
        yield Piece(start, end, component, kind, dirty)


def map_table(found: ByteMap, reveal: bool, screen: Screen = PLAIN) -> str:
    """Return the map for people; `reveal` shows the values of stale bytes."""
    view = found.view
    rows = [
        (f"{p.start}", f"{p.end - 1}", p.end - p.start, p.kind, p.component, p.dirty or "")
        for p in _merged(found.pieces)
    ]
    heads = ("from", "to", "bytes", "what", "component", "not zero")
    ways = [
        (way.name, way.function, copied if way.raw else "none", _how(way.how, screen))
        for way, copied in found.paths
    ]
    parts = [
        f"{name_of(view.task)}: {len(view.image)} bytes at {view.at:#x}",
        "",
        table(rows, heads, ("right", "right", "right", "left", "left", "right")),
        "",
        table(ways, _WAYS, ("left", "left", "right", "left"), screen, Fit(wrap=_WAYS)),
    ]
    if reveal:
        parts += ["", *_values(found)]
    return "\n".join(parts)


def _how(text: str, screen: Screen) -> str:
    return text if screen.width else fill(text, _HOW_WIDTH)


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces, with small ones of x87 merged if the padding between them is clean."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last and last.component == piece.component == "x87" and not piece.dirty + last.dirty:
            kind = last.kind if piece.kind == "padding" else piece.kind
            merged[-1] = Piece(last.start, piece.end, "x87", kind, 0)
        else:
            merged.append(piece)
    return merged


def _values(found: ByteMap) -> Iterator[str]:
    for piece in found.pieces:
        if piece.kind == "stale":
            for at in range(piece.start, piece.end, _DUMP_WIDTH):
                line = found.view.image[at : min(at + _DUMP_WIDTH, piece.end)]
                yield f"  {at:5}: {line.hex(' ', 4)}"


def map_json(found: ByteMap, reveal: bool) -> dict[str, Any]:
    """Return the map in the form that `json.dumps` takes."""
    view = found.view
    pieces = []
    for piece in found.pieces:
        data = view.image[piece.start : piece.end].hex() if reveal else None
        pieces.append({**vars(piece), "value": data})
    return {
        "pid": view.task.pid,
        "comm": view.task.comm,
        "address": f"{view.at:#x}",
        "size": len(view.image),
        "pieces": pieces,
        "paths": [{**vars(way), "stale_bytes": copied} for way, copied in found.paths],
    }
