# SPDX-License-Identifier: GPL-2.0-or-later
"""Format a hit as a line for the terminal, and the heading above such lines."""

from __future__ import annotations

from gdbfpu.text.screen import Screen
from gdbfpu.text.short import cut, few
from gdbfpu.text.table import padded
from gdbfpu.trace.event_file import Hit

__all__ = ("hit_heading", "hit_lines")

_WIDE = "{:>6} {:>6} {} {:>7} {:>3} {:<26} {:<24} {:<6} {}"
_NARROW = "{:>6} {} {:>7} {:>3} {:<24} {:<%d} {}"  # without the thread; callers go below
_NAMES = ("pid", "CPU", "function", "components", "where")
_NEEDED = 140  # columns of a wide line with one caller
_COMM = 16  # columns of a task's name; one less in a narrow line
_FUNCTION = 24  # columns of a function's name in a narrow line
_COMPONENTS = (12, 24)  # the least and the most columns of components in a narrow line
_REST = 68  # columns of everything else in a narrow line, and one that stays free
_INDENT = " " * 7


def hit_heading(width: int, callers: int = 1) -> str:
    """Return the heading above the lines of hits on a terminal of `width` columns (0: any).

    `callers` is the largest number of callers of a hit. On a narrow terminal, a second line says
    which columns are left out.
    """
    if _fits(width):
        return _WIDE.format("hit", "thread", padded("task", _COMM), *_NAMES, "caller")
    form = _NARROW % _components_width(width)
    heading = form.format("hit", padded("task", _COMM - 1), *_NAMES)
    gone = "thread, caller" if callers == 1 else "thread"
    note = f"left out, to fit {width} columns: {gone} (`set width 0` shows all)"
    return f"{heading}\n{Screen(width).wrapped(note, '  ')}"


def hit_lines(hit: Hit, width: int) -> tuple[str, ...]:
    """Return the lines of `hit` with the columns of `hit_heading(width)`.

    On a narrow terminal, a second line has the callers if there are several, and the running task
    if it is not the hit's task. A single caller is left out.
    """
    by = f"(by {hit.caller_comm}, pid {hit.caller_pid})" if hit.caller_pid != hit.pid else ""
    if not _fits(width):
        callers = " < ".join(hit.backtrace) if len(hit.backtrace) > 1 else ""
        more = f"{callers} {by}".strip()
        below = Screen(width).wrapped(f"{_INDENT}{more}", "  ").splitlines() if more else []
        return (_narrow(hit, width), *below)
    line = _WIDE.format(
        hit.seq,
        "-" if hit.thread is None else hit.thread,
        padded(hit.comm, _COMM),
        hit.pid,
        hit.cpu,
        hit.function,
        _components(hit),
        _where(hit),
        " < ".join(hit.backtrace),
    )
    line = f"{line.rstrip()} {by}".rstrip()
    return tuple(Screen(width).wrapped(line, _INDENT).splitlines())


def _narrow(hit: Hit, width: int) -> str:
    room = _components_width(width)
    return (_NARROW % room).format(
        hit.seq,
        padded(cut(hit.comm, _COMM - 1), _COMM - 1),
        hit.pid,
        hit.cpu,
        cut(hit.function, _FUNCTION),
        few(_components(hit), room),
        _where(hit),
    )


def _fits(width: int) -> bool:
    return not width or width >= _NEEDED


def _components_width(width: int) -> int:
    least, most = _COMPONENTS
    return min(max(width - _REST, least), most)


def _components(hit: Hit) -> str:
    return ("|".join(hit.components) or "-") if hit.xfeatures is not None else "?"


def _where(hit: Hit) -> str:
    return "live" if hit.live else "memory"
