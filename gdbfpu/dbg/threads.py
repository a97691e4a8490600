# SPDX-License-Identifier: GPL-2.0-or-later
"""The thread that the user has selected."""

from __future__ import annotations

import gdb

__all__ = ("selected_thread",)


def selected_thread() -> gdb.InferiorThread | None:
    """Return GDB's selected thread, or None if there is none.

    GDB can have a thread of which its Python never heard: that of a stub which failed while GDB
    attached to it. Then GDB raises SystemError.
    """
    try:
        thread = gdb.selected_thread()
    except SystemError:
        return None
    return thread if thread is not None and thread.is_valid() else None
