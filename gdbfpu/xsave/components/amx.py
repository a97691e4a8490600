# SPDX-License-Identifier: GPL-2.0-or-later
"""Components 17 and 18, AMX: the tile configuration, and the tiles in the shapes that it gives.

Source: Intel SDM volume 1, 18.2 (TILECFG's memory layout: palette, start row, bytes per row at
16, rows at 48) and 13.5.13.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gdbfpu.xsave.components.parts import Parts, chunks
from gdbfpu.xsave.components.views import Register, View, Views, bfloat16s, floats, integers
from gdbfpu.xsave.features import TILECFG, TILEDATA

__all__ = ("registers",)

_TILES = 8
_ROW = 64
_TILE = 16 * _ROW


def registers(parts: Parts) -> tuple[Register, ...]:
    """Return tilecfg, then tmm0 to tmm7 with the shapes that tilecfg gives them."""
    config = parts.data.get(TILECFG, b"")
    known = len(config) == 64
    found = (
        [Register("tilecfg", TILECFG, config, _config_views, parts.initial(TILECFG))]
        if known
        else []
    )
    rows, colsb = _shapes(config) if known else ((16,) * _TILES, (_ROW,) * _TILES)
    for i, raw in enumerate(chunks(parts.data.get(TILEDATA, b""), _TILE)[:_TILES]):
        viewer = partial(_tile_views, min(rows[i], 16), min(colsb[i], _ROW))
        found.append(Register(f"tmm{i}", TILEDATA, raw, viewer, parts.initial(TILEDATA)))
    return tuple(found)


def _shapes(config: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the rows, and the bytes per row, of the eight tiles."""
    return tuple(config[48 : 48 + _TILES]), integers(config[16 : 16 + 2 * _TILES], 2, signed=False)


def _config_views(raw: bytes) -> Views:
    rows, colsb = _shapes(raw)
    return {"palette": raw[0], "start_row": raw[1], "rows": rows, "colsb": colsb}


def _tile_views(rows: int, colsb: int, raw: bytes) -> Views:
    lines = [raw[row * _ROW : row * _ROW + colsb] for row in range(rows)]

    def matrix(width: int, read: Callable[[bytes], View]) -> View:
        return tuple(read(line[: len(line) // width * width]) for line in lines)

    return {
        "rows": rows,
        "colsb": colsb,
        "int8": matrix(1, lambda line: integers(line, 1)),
        "int32": matrix(4, lambda line: integers(line, 4)),
        "half": matrix(2, lambda line: floats(line, 2)),
        "bfloat16": matrix(2, bfloat16s),
        "float": matrix(4, lambda line: floats(line, 4)),
    }
