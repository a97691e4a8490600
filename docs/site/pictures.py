# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw the pictures of how XSAVE, the kernel's switching and traces work, into docs/.

Run by `make docs`. A test holds the pictures to what this module draws. They bring their own
background, so they can be read on a light page and on a dark one.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import NamedTuple

__all__ = ("DOCS", "pictures")

DOCS = Path(__file__).resolve().parents[1]

_WIDTH = 1000
# The colours are Okabe and Ito's, which anybody can tell apart; pale ones get dark words.
_STYLE = """
.paper { fill: #ffffff } .ink { fill: #1b1f24 } .soft { fill: #57606a }
.line { stroke: #57606a; stroke-width: 1.5; fill: none } .tip { fill: #57606a }
.a { fill: #56b4e9 } .b { fill: #e69f00 } .kernel { fill: #8c959f } .none { fill: #d0d7de }
.header { fill: #cc79a7 } .mark { fill: #d55e00 } .dark { fill: #111111 }
@media (prefers-color-scheme: dark) {
.paper { fill: #16191d } .ink { fill: #e6edf3 } .soft { fill: #a8b1bb }
.line { stroke: #a8b1bb } .tip { fill: #a8b1bb } .none { fill: #b6bec7 }
}"""


class Piece(NamedTuple):
    """A piece of a bar from `start` to `end`, in percent, with a label and a class of `_STYLE`."""

    start: float
    end: float
    label: str
    kind: str


class Band(NamedTuple):
    """One way of switching: what the CPU runs, whose registers it holds, what the kernel does."""

    title: str
    runs: tuple[Piece, ...]
    holds: tuple[Piece, ...]
    marks: tuple[tuple[float, str], ...]


_BANDS = (
    Band(
        "Lazy (up to 4.9): the registers are loaded when the task first uses them",
        (
            Piece(0, 28, "A, user mode", "a"),
            Piece(28, 36, "switch", "kernel"),
            Piece(36, 62, "B, without the FPU", "b"),
            Piece(62, 70, "#NM", "kernel"),
            Piece(70, 100, "B, with the FPU", "b"),
        ),
        (Piece(0, 66, "A's registers, also while B runs", "a"), Piece(66, 100, "B's", "b")),
        ((32, "save A, set CR0.TS"), (66, "load B, clear CR0.TS")),
    ),
    Band(
        "Eager (3.7 to 5.1): the registers are loaded at each switch",
        (
            Piece(0, 28, "A, user mode", "a"),
            Piece(28, 36, "switch", "kernel"),
            Piece(36, 100, "B, user mode", "b"),
        ),
        (Piece(0, 32, "A's registers", "a"), Piece(32, 100, "B's", "b")),
        ((32, "save A, load B"),),
    ),
    Band(
        "Deferred (since 5.2): the registers are loaded on the way back to user mode",
        (
            Piece(0, 28, "A, user mode", "a"),
            Piece(28, 36, "switch", "kernel"),
            Piece(36, 62, "kernel works for B", "kernel"),
            Piece(62, 70, "return", "kernel"),
            Piece(70, 100, "B, user mode", "b"),
        ),
        (Piece(0, 66, "A's registers: nobody needs them", "a"), Piece(66, 100, "B's", "b")),
        ((32, "save A, set TIF_NEED_FPU_LOAD"), (66, "load B, clear TIF_NEED_FPU_LOAD")),
    ),
)

# Intel's places, without MPX and PT; from 576 on not to scale.
_STANDARD = (
    Piece(0, 24, "x87 and SSE|0 to 511", "a"),
    Piece(24, 33, "header|512", "header"),
    Piece(33, 45, "AVX|576", "b"),
    Piece(45, 57, "(MPX)|960", "none"),
    Piece(57, 65, "opmask|1088", "b"),
    Piece(65, 77, "ZMM, upper|1152", "b"),
    Piece(77, 92, "ZMM16 to 31|1664", "b"),
    Piece(92, 100, "PKRU|2688", "b"),
)
_COMPACTED = (
    Piece(0, 24, "x87 and SSE|0 to 511", "a"),
    Piece(24, 33, "header|512", "header"),
    Piece(33, 45, "AVX|576", "b"),
    Piece(45, 53, "PKRU|832", "b"),
)
_HEADER = (
    "XSTATE_BV (bytes 512 to 519): is component n in use? If not, its bytes are void.",
    "XCOMP_BV (bytes 520 to 527): which components have a place? Bit 63: compacted.",
)


def pictures() -> dict[str, str]:
    """Return the text of each picture by its file's name."""
    return {
        "fast.svg": _fast(),
        "hit.svg": _hit(),
        "switching.svg": _switching(),
        "xsave-area.svg": _area(),
    }


def _picture(title: str, height: int, parts: Iterable[str]) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="15">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        '<defs><marker id="tip" markerWidth="9" markerHeight="9" refX="8" refY="4.5" orient="auto">'
        '<path class="tip" d="M0 0L9 4.5L0 9z"/></marker></defs>',
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _text(x: float, y: float, words: str, kind: str = "ink", more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}"{more}>{escape(words)}</text>'


def _middle(x: float, y: float, words: str, kind: str = "ink") -> str:
    return _text(x, y, words, kind, ' text-anchor="middle"')


def _bold(x: float, y: float, words: str) -> str:
    return _text(x, y, words, "ink", ' font-weight="bold"')


def _bar(
    left: float, width: float, y: float, pieces: Iterable[Piece], height: int = 34
) -> list[str]:
    """Return a bar of pieces; the lines of a label stand one below the other."""
    parts = []
    for piece in pieces:
        x, size = left + width * piece.start / 100, width * (piece.end - piece.start) / 100
        parts.append(
            f'<rect class="{piece.kind}" x="{x + 1:g}" y="{y}" width="{size - 2:g}" '
            f'height="{height}" rx="3"/>'
        )
        lines = piece.label.split("|")
        first = y + height / 2 + 5 - 9 * (len(lines) - 1)
        parts += [
            _middle(x + size / 2, first + 18 * n, line, "dark") for n, line in enumerate(lines)
        ]
    return parts


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="line" marker-end="url(#tip)" d="M{x1:g} {y1:g}L{x2:g} {y2:g}"/>'


def _switching() -> str:
    left, width, step = 150, 830, 170
    parts = []
    for number, band in enumerate(_BANDS):
        top = 20 + step * number
        parts.append(_bold(16, top + 14, band.title))
        parts += [_text(16, top + 52, "the CPU runs"), _text(16, top + 92, "the CPU holds")]
        parts += [*_bar(left, width, top + 30, band.runs), *_bar(left, width, top + 70, band.holds)]
        for place, words in band.marks:
            x = left + width * place / 100
            parts += [_arrow(x, top + 124, x, top + 106), _middle(x, top + 140, words)]
    title = "Two tasks take turns on a CPU: when their registers are saved and loaded"
    return _picture(title, 20 + step * len(_BANDS), parts)


def _area() -> str:
    left, width = 16, 968
    parts = [
        _bold(left, 34, "Standard format: each component at its place, used or not"),
        *_bar(left, width, 50, _STANDARD, 56),
        _bold(left, 158, "Compacted format: the components in XCOMP_BV, one after the other"),
        *_bar(left, width, 174, _COMPACTED, 56),
        _text(left + width * 0.545, 208, "XCOMP_BV = bit 63, x87, SSE, AVX, PKRU"),
        _bold(left, 282, "The header decides what counts"),
        *(_text(left, 310 + 24 * line, words) for line, words in enumerate(_HEADER)),
    ]
    return _picture("An XSAVE area in the standard and in the compacted format", 354, parts)


def _hit() -> str:
    boxes = (
        (16, "b", ("", "Xorg gets a signal", "")),
        (266, "kernel", ("the kernel", "copy_fpstate_to_sigframe", "saves Xorg's registers")),
        (516, "a", ("gdbfpu notes", "whose state it is, what is", "in it, and who called")),
        (766, "kernel", ("the kernel runs on,", "without a step", "")),
    )  # fmt: skip
    parts = []
    for x, kind, words in boxes:
        parts.append(f'<rect class="{kind}" x="{x}" y="24" width="218" height="92" rx="6"/>')
        parts += [_middle(x + 109, 50 + 26 * n, line, "dark") for n, line in enumerate(words)]
    parts += [_arrow(x + 220, 70, x + 248, 70) for x, _, _ in boxes[:-1]]
    parts.append('<circle class="mark" cx="484" cy="70" r="7"/>')
    mono = ' font-family="monospace" font-size="14" xml:space="preserve"'
    fields = (
        ("hit", "5"), ("task", "Xorg"), ("pid", "44"), ("CPU", "0"),
        ("function", "copy_fpstate_to_sigframe"), ("components", "x87|SSE|AVX"),
        ("where", "memory"), ("caller", "get_sigframe"),
    )  # fmt: skip
    x = 16
    for name, value in fields:
        parts += [_text(x, 160, name, "soft", mono), _text(x, 184, value, "ink", mono)]
        x += 9 * (max(len(name), len(value)) + 3)
    title = "A hit: a task gets a signal, the kernel saves its registers, gdbfpu notes it"
    return _picture(title, 204, parts)


def _fast() -> str:
    boxes = (
        (16, 200, "kernel", ("copy_fpstate_to_sigframe",
            "a jump in place of its", "first instructions", "", "", "the rest of it")),
        (270, 230, "b", ("its trampoline",
            "save flags and registers", "call the recorder", "restore them",
            "the instructions that were", "there, and a jump back")),
        (554, 190, "a", ("the recorder",
            "filter by pid and name", "read header and clock", "take a lock", "store the pass")),
        (798, 186, "header", ("a table or a ring",
            "in kernel memory", "", "GDB reads it when", "the kernel stops")),
    )  # fmt: skip
    parts = []
    for x, width, kind, (title, *lines) in boxes:
        parts.append(_bold(x, 30, title))
        parts.append(f'<rect class="{kind}" x="{x}" y="44" width="{width}" height="150" rx="6"/>')
        parts += [_text(x + 12, 74 + 26 * n, line, "dark") for n, line in enumerate(lines)]
    parts += [_arrow(218, 70, 266, 70), _arrow(268, 178, 220, 178)]
    parts += [_arrow(502, 96, 550, 96), _arrow(552, 122, 504, 122), _arrow(746, 148, 794, 148)]
    parts.append(_text(16, 226, "Nothing stops. Each CPU goes this way by itself, with interrupts "
                       "off while it records."))  # fmt: skip
    title = "A fast trace: a function's entry jumps to a trampoline, which has the pass recorded"
    return _picture(title, 244, parts)


def main() -> None:
    """Draw the pictures."""
    for name, text in pictures().items():
        (DOCS / name).write_text(text)


if __name__ == "__main__":
    main()
