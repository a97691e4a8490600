# SPDX-License-Identifier: GPL-2.0-or-later
"""Which answers to "does it use the FPU?" are right about the guest programs, as data.

Written by hand from the comments in their sources, for tests. PROGRAMS.md says why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ("ANSWERS", "Right", "subject_of")


@dataclass(frozen=True)
class Right:
    """The answers that are right under `lazy` and under `eager` switching: `yes`, `no`, `?`."""

    lazy: frozenset[str]
    eager: frozenset[str]


_YES = frozenset({"yes"})
_NO = frozenset({"no"})
_OPEN = frozenset({"no", "?"})
_ANY = frozenset({"yes", "no", "?"})

_USES = Right(_YES, _YES)
_NEVER = Right(_NO, _NO)

ANSWERS: Mapping[str, Right] = {
    **dict.fromkeys(
        (
            "ymmall",
            "x87calc",
            "mmxplay",
            "audiod",
            "ia32sig",
            "evilname",
            "coredump",
            "sigstorm",
            "fxall",
        ),
        _USES,
    ),
    **{f"avxthreads/{thread}": _USES for thread in range(4)},
    "intonly": _NEVER,
    "between": _USES,
    "mxcsronly": _USES,
    "inhandler": Right(_ANY, _ANY),
    "longago": Right(_YES, _OPEN),
    "zeros": Right(_YES, _OPEN),
    **{f"onereg/{thread}": _USES if thread == 2 else _NEVER for thread in range(4)},
    "vforkexec/loaded": _USES,
    "vforkexec/child": _NEVER,
    "onesignal/loaded": _USES,
    "onesignal/child": Right(_OPEN, _OPEN),
}
"""The right answers once a program has taken some twenty signals, by what `subject_of` returns.

They hold at the end of a trace, also for a task that has ended; a task that was never hit and has
ended is in no report.
"""

_THREAD = re.compile(r" thread=(\d)")
_LOADED = {" loaded=0 ": "child", " loaded=1 ": "loaded"}


def subject_of(line: str) -> str:
    """Return which subject of ANSWERS announces itself by `line`: a program, or a part of one."""
    name = line.split()[1]
    if thread := _THREAD.search(line):
        return f"{name}/{thread[1]}"
    return next((f"{name}/{part}" for field, part in _LOADED.items() if field in line), name)
