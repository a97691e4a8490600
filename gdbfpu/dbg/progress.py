# SPDX-License-Identifier: GPL-2.0-or-later
"""Show the progress of slow reads on GDB's terminal."""

from __future__ import annotations

import gdb

from gdbfpu.dbg.terminal import say
from gdbfpu.text import progress

__all__ = ("Progress",)


class Progress(progress.Progress):
    """Says on GDB's terminal how much of `what` has been read."""

    def __init__(self, what: str) -> None:
        super().__init__(what, _say)


def _say(line: str) -> None:
    say(line)
    gdb.flush()
