# SPDX-License-Identifier: GPL-2.0-or-later
"""Check a hit's line of an event file, and take from it what all readers need."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from gdbfpu.errors import CorruptState
from gdbfpu.fpu.evidence import Answer, Use
from gdbfpu.kernel.tasks import Task
from gdbfpu.report.event_values import S32, U64, flag, hexadecimal, number
from gdbfpu.text.printable import one_line
from gdbfpu.trace.totals import MAX_PATHS, Facts

__all__ = ("MAX_FUNCTIONS", "EventHit", "HitReader", "is_hit", "use_of")

MAX_FUNCTIONS = 64
"""How many different functions are told apart; any others share one name."""

_NO_NAMES = "`function` is not a string, or `backtrace` not a list of strings"
_OTHERS = "(other functions)"
_MAX_DEPTH = 64  # callers of a path
_MAX_NAME = 128  # characters of a function's name
_MAX_COMM = 64  # characters: char[TASK_COMM_LEN], each byte as `\xNN`
_MAX_WHY = 256


EventHit = tuple[Task, tuple[str, ...], Facts]
"""A hit: the task that owns the FPU state, the function and its callers, what it adds to totals."""


def is_hit(event: dict[str, Any]) -> bool:
    """Return whether a line is a hit's, not one that says more about an earlier hit."""
    return "of" not in event and "use_of" not in event


class HitReader:
    """Reads hits of one or several files. The names of a path are checked once."""

    def __init__(self) -> None:
        self._functions: set[str] = set()
        self._paths: dict[tuple[Any, ...], tuple[str, ...]] = {}

    def read(self, event: dict[str, Any]) -> EventHit:
        """Return the hit in `event`; raise CorruptState, KeyError or TypeError."""
        task = _task(event["task"], event["pid"], event["tgid"], event["comm"])
        callers = event["backtrace"]
        if type(callers) is not list:
            raise CorruptState(_NO_NAMES)
        given = (event["function"], *callers)
        return task, self._paths.get(given) or self._new(given), _facts(event)

    def _new(self, given: tuple[Any, ...]) -> tuple[str, ...]:
        """Check the path `given`, and keep it unless it had to be cut: it may be long."""
        path = self._checked(given)
        if path == given and len(self._paths) < MAX_PATHS:
            self._paths[path] = path
        return path

    def _checked(self, given: tuple[Any, ...]) -> tuple[str, ...]:
        """Return a function and its callers, fit for a terminal, cut to the limits above."""
        if not all(type(name) is str for name in given):
            raise CorruptState(_NO_NAMES)
        function, *callers = (ascii(name)[1:-1][:_MAX_NAME] for name in given[: _MAX_DEPTH + 1])
        if function not in self._functions and len(self._functions) >= MAX_FUNCTIONS:
            function = _OTHERS
        else:
            self._functions.add(function)
        return (function, *callers)


def _facts(hit: dict[str, Any]) -> Facts:
    """Return what `hit` adds to a row; raise CorruptState or KeyError."""
    thread = hit["thread"]
    return Facts(
        number("time_ns", hit["time_ns"], U64),
        number("cpu", hit["cpu"], S32),
        thread if thread is None else number("thread", thread, S32),
        _mask(hit["xfeatures"]),
        flag("live", hit["live"]),
        use_of(hit),
    )


def use_of(event: dict[str, Any]) -> Use | None:
    """Return what a line says about whether its task uses the FPU; None if it says nothing."""
    uses, why = event.get("uses_fpu"), event.get("why", "")
    if uses is not None:
        flag("uses_fpu", uses)
    if type(why) is not str:
        raise CorruptState("`why` is not a string")
    return _said(uses, why)


@lru_cache(maxsize=4096)
def _said(uses: bool | None, why: str) -> Use | None:
    if uses is None and not why:
        return None
    answer = Answer.UNKNOWN if uses is None else Answer.YES if uses else Answer.NO
    return Use(answer, one_line(why)[:_MAX_WHY])


@lru_cache(maxsize=4096, typed=True)  # `true` equals 1 but must not pass for pid 1
def _task(address: str, pid: int, tgid: int, comm: str) -> Task:
    if type(comm) is not str or len(comm) > _MAX_COMM:
        raise CorruptState(f"`comm` is not a string of up to {_MAX_COMM} characters")
    return Task(
        hexadecimal("task", address),
        number("pid", pid, S32),
        number("tgid", tgid, S32),
        one_line(comm)[:_MAX_COMM],
        False,
    )


@lru_cache(maxsize=256)
def _mask(text: str | None) -> int:
    return 0 if text is None else hexadecimal("xfeatures", text)
