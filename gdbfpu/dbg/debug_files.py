# SPDX-License-Identifier: GPL-2.0-or-later
"""What GDB knows of a kernel's debug files: which it has opened, and whether it may fetch more."""

from __future__ import annotations

from pathlib import Path

import gdb

from gdbfpu.errors import GdbFpuError
from gdbfpu.layouts.debuginfod import fetcher
from gdbfpu.layouts.sources import Helpers

__all__ = ("debug_helpers", "kernel_file")


def debug_helpers(vmlinux: Path) -> Helpers:
    """Return the debug files that GDB opened for `vmlinux`, and debuginfod if it is turned on.

    The user turns it on with `set debuginfod enabled on`. `set debuginfod urls` names the servers.
    """
    known = tuple(
        Path(objfile.filename)
        for objfile in gdb.objfiles()
        if objfile.filename and objfile.owner is not None and objfile.owner.filename == str(vmlinux)
    )
    return Helpers(known, fetcher(_urls(), _write))


def kernel_file() -> Path:
    """Return the vmlinux that GDB was given; raise GdbFpuError if there is none."""
    name = gdb.current_progspace().filename
    if not name:
        raise GdbFpuError("GDB has no vmlinux: say `file PATH/vmlinux` first")
    return Path(name)


def _urls() -> str:
    """Return the servers that GDB may use without asking the user first, empty for none."""
    try:
        enabled = gdb.parameter("debuginfod enabled") == "on"
        return str(gdb.parameter("debuginfod urls") or "") if enabled else ""
    except (RuntimeError, gdb.error):  # before GDB 12
        return ""


def _write(text: str) -> None:
    gdb.write(text)
    gdb.flush()
