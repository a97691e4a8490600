# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose the status with which GDB ends."""

from __future__ import annotations

import functools
from typing import Any

import gdb

from gdbfpu.dbg.language import in_c

__all__ = ("end_with",)

_OWN = (0, 1)  # GDB's own statuses: all went well, or the last command in batch mode failed


@functools.cache
def end_with(status: int) -> None:
    """Have GDB end with `status` (2 to 255), unless the user gives `quit` another one.

    GDB in batch mode ends with status 1 if its last command has failed, and with 0 if an earlier
    one has. Only `quit` takes a status, so we call `quit` while GDB ends.
    """

    def end(event: Any) -> None:
        gdb.events.gdb_exiting.disconnect(end)
        if event.exit_code in _OWN:
            gdb.execute("set confirm off", False, True)  # the user has answered already
            with in_c():
                gdb.execute(f"quit {status:#x}")

    gdb.events.gdb_exiting.connect(end)
