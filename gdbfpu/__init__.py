# SPDX-License-Identifier: GPL-2.0-or-later
"""Trace and decode how a Linux kernel uses the x86 FPU, from inside GDB.

In GDB's Python it is an interface for scripts, too: `gdbfpu.start_trace` and what docs/python.md
names beside it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gdbfpu.commands.trace_options import TraceOn as TraceOn
    from gdbfpu.dbg.api import Trace as Trace
    from gdbfpu.dbg.api import read_report as read_report
    from gdbfpu.dbg.api import read_state as read_state
    from gdbfpu.dbg.api import start_trace as start_trace

__all__ = ("__version__",)

__version__ = "0.1.0"

_IN_GDB = ("Trace", "TraceOn", "read_report", "read_state", "start_trace")


def __getattr__(name: str) -> object:
    """Return `name` of gdbfpu.dbg.api, imported now; raise ImportError outside of GDB."""
    if name not in _IN_GDB:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if "gdb" not in sys.modules:
        raise ImportError(
            f"gdbfpu.{name} works in GDB's Python alone: use it there, after `source gdbfpu`"
        )
    from gdbfpu.dbg import api

    return getattr(api, name)
