# SPDX-License-Identifier: GPL-2.0-or-later
"""The two pictures: hits per second by way of tracing, and time to the first hit by tool."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.rows import Row
from tests.bench.text import figure

HITS, FIRST_HIT = "hits", "first-hit"
PICTURES = {
    HITS: "Hits per second by way of tracing (more is better)",
    FIRST_HIT: "Time to the first hit by tool (less is better)",
}
"""The pictures, by the end of their files' names, and what each shows."""

# Okabe and Ito's, which people with any colour vision tell apart.
_OURS, _RIVAL = "#0072B2", "#E69F00"
_AXES = {HITS: "hits per second (hits/s)", FIRST_HIT: "time to the first hit (s)"}
_SHOWN: dict[str, Callable[[Row], bool]] = {
    HITS: lambda row: row.unit == "hits/s",
    FIRST_HIT: lambda row: row.unit == "s" and "first hit" in row.what,
}
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "gdbfpu", "font.size": 11}
_BAR = 0.5  # inches that a bar takes
_PAD = 0.12  # inches around each part: the reader's font may be a wider one
_LABEL = 36  # characters of a line of a bar's name
_TITLE = 64  # characters of a line above a part


def shown(rows: Sequence[Row], picture: str) -> list[Row]:
    """Return the rows that `picture`, one of PICTURES, shows."""
    return [row for row in rows if row.ours is not None and _SHOWN[picture](row)]


def draw(rows: Sequence[Row], json: Path) -> list[Path]:
    """Draw the pictures beside the JSON file, those that have something to show; return them."""
    drawn = []
    for picture, title in PICTURES.items():
        path = place(json, picture)
        path.unlink(missing_ok=True)
        if chosen := shown(rows, picture):
            _bars(chosen, title, _AXES[picture], path)
            drawn.append(path)
    return drawn


def place(json: Path, picture: str) -> Path:
    """Return where a picture of the figures in `json` is."""
    return json.with_name(f"{json.stem}-{picture}.svg")


def _bars(rows: Sequence[Row], title: str, label: str, path: Path) -> None:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    counts = [1 + len(row.rivals) for row in rows]
    with mpl.rc_context(_STYLE):
        height = 1.2 + sum(_BAR * count + 0.7 for count in counts)
        drawing = Figure(figsize=(9.0, height), layout="constrained", facecolor="white")
        drawing.get_layout_engine().set(w_pad=_PAD, h_pad=_PAD)
        FigureCanvasSVG(drawing)
        drawing.suptitle(title, fontsize=14)
        parts = drawing.subplots(
            len(rows), sharex=True, squeeze=False, gridspec_kw={"height_ratios": counts}
        )
        for axes, row in zip(parts[:, 0], rows):
            _group(axes, row)
        parts[-1, 0].set_xlabel(label)
        drawing.savefig(path, format="svg", metadata={"Date": None})


def _group(axes, row: Row) -> None:
    values = {"gdbfpu": row.ours, **row.rivals}
    names = [textwrap.fill(_plain(name), _LABEL) for name in values]
    colours = [_OURS if name == "gdbfpu" else _RIVAL for name in values]
    bars = axes.barh(names, list(values.values()), color=colours, height=0.7)
    axes.bar_label(bars, [figure(value, row.unit) for value in values.values()], padding=4)
    axes.set_title(textwrap.fill(_plain(row.what), _TITLE), fontsize=11, loc="left")
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(left=0)


def _plain(words: str) -> str:
    return words.replace("`", "")
