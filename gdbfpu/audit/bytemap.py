# SPDX-License-Identifier: GPL-2.0-or-later
"""Map one task's area: what each byte is, and where the kernel copies stale bytes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
from gdbfpu.xsave.area import LEGACY_SIZE, in_use
from gdbfpu.xsave.features import FPSSE
from gdbfpu.xsave.pieces import Piece, merged, pieces

__all__ = ("ByteMap", "map_json", "map_table", "read_map")

_HOW_WIDTH = 48  # columns
_WAYS = ("way out", "function", "stale bytes", "how")
_DUMP_WIDTH = 32  # bytes on a line of a dump


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
    legacy = sum(place < LEGACY_SIZE for place in places)
    paths = (*export_paths(snapshot), *inherit_paths(snapshot))
    copies = ((path, (legacy if path.legacy else len(places)) * path.raw) for path in paths)
    header = view.header
    used = FPSSE if header is None else in_use(header)
    spans = snapshot.spans(view.image)
    found = pieces(view.image, spans, used, header is not None, places)
    return ByteMap(view, found, tuple(copies))


def map_table(found: ByteMap, reveal: bool, screen: Screen = PLAIN) -> str:
    """Return the map for people; `reveal` shows the values of stale bytes."""
    view = found.view
    rows = [
        (f"{p.start}", f"{p.end - 1}", p.end - p.start, p.kind, p.component, p.dirty or "")
        for p in merged(found.pieces)
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


def _values(found: ByteMap) -> Iterator[str]:
    for piece in found.pieces:
        if piece.kind == "stale":
            for at in range(piece.start, piece.end, _DUMP_WIDTH):
                line = found.view.image[at : min(at + _DUMP_WIDTH, piece.end)]
                yield f"  {at:5}: {line.hex(' ', 4)}"


def map_json(found: ByteMap, reveal: bool) -> dict[str, Any]:
    """Return the map in the form that `json.dumps` takes."""
    view = found.view
    parts = []
    for piece in found.pieces:
        data = view.image[piece.start : piece.end].hex() if reveal else None
        parts.append({**vars(piece), "value": data})
    return {
        "pid": view.task.pid,
        "comm": view.task.comm,
        "address": f"{view.at:#x}",
        "size": len(view.image),
        "pieces": parts,
        "paths": [{**vars(way), "stale_bytes": copied} for way, copied in found.paths],
    }
