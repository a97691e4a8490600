# SPDX-License-Identifier: GPL-2.0-or-later
"""The address of the signal frame that `--sigframe` asks for."""

from __future__ import annotations

import gdb

from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import UsageError
from gdbfpu.probes.catalogue import FRAME_ARGUMENTS

__all__ = ("frame_address",)


def frame_address(target: GdbTarget, expression: str) -> int:
    """Return the user address of a signal frame.

    It is the value of `expression`. If `expression` is empty, it is an argument of the function
    at whose entry the CPU stopped. Raises UsageError if no argument of that function is a frame.
    """
    if expression:
        return int(gdb.parse_and_eval(expression)) & (1 << 64) - 1
    register = FRAME_ARGUMENTS.get(gdb.newest_frame().name() or "")
    value = target.register(register) if register else None
    if value is None:
        functions = " or ".join(FRAME_ARGUMENTS)
        raise UsageError(f"give the frame's address, or stop at the entry of {functions}")
    return value
