# SPDX-License-Identifier: GPL-2.0-or-later
"""What the memory holds that a fast trace allocates: code, control words, a ring or a table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

__all__ = ("CONTROL_SIZE", "MAX_PROBES", "PAGE", "Area", "Control", "Flag", "Record", "Row")

PAGE = 4096
MAX_PROBES = 64
"""The most functions that a fast trace diverts."""


class Control:
    """Offsets of the control words, u64 each but for the lock (u32).

    `HEAD` counts the slots of the ring that were ever filled, or the passes that the table has.
    A pass is recorded only while `HEAD` is below `STOP_AT`. `LOST` counts passes that found no
    room, `FILTERED` those of other tasks. `USED` is the number of the table's rows in use.
    `PASSES` begins an array with the recorded passes of each function.
    """

    LOCK, HEAD, STOP_AT, LOST, FILTERED, USED, PASSES = 0, 8, 16, 24, 32, 40, 64


CONTROL_SIZE = Control.PASSES + 8 * MAX_PROBES
"""How many bytes the control words take."""


class Flag(IntFlag):
    """The flags of a record. `OTHER`: the next slot has the running task, which is another one."""

    LIVE, KTHREAD, ACTIVE, OTHER, HEADER = 1, 2, 4, 8, 16


class Record:
    """Offsets in a slot of the ring.

    `WORD` (u32) has the CPU in its lower half, then the function's number and the flags, a byte
    each. `CALLER` (u32) is the lower half of the return address.
    """

    SIZE = 64
    TSC, TASK, XFEATURES, XCOMP_BV, COMM, PID, TGID, CALLER, WORD = 0, 8, 16, 24, 32, 48, 52, 56, 60


class Row:
    """Offsets in a row of the table: the passes of a task in a function with one XSTATE_BV.

    `KEY` (u64) has the pid, above it the function's number. `FLAGS` has all that any pass had.
    """

    SIZE = 96
    TASK, KEY, HITS, LIVE, XFEATURES, CPU, FLAGS, FIRST, LAST = 0, 8, 16, 24, 32, 40, 44, 48, 56
    COMM, TGID, CALLER, XCOMP_BV = 64, 80, 84, 88


@dataclass(frozen=True)
class Area:
    """The memory at `base`: `code_pages` of code, the control words, then the data.

    The ring has `slots`, a power of two. If that is 0, the table has `rows`, a power of two; behind
    them is its index, u32 each, which is twice as long.
    """

    base: int
    code_pages: int
    slots: int = 0
    rows: int = 0

    @property
    def control(self) -> int:
        """Return the address of the control words."""
        return self.base + self.code_pages * PAGE

    @property
    def data(self) -> int:
        """Return the address of the ring or of the table's first row."""
        return self.control + PAGE

    @property
    def index(self) -> int:
        """Return the address of the table's index."""
        return self.data + self.rows * Row.SIZE

    @property
    def size(self) -> int:
        """Return the size in bytes, whole pages."""
        data = self.slots * Record.SIZE + self.rows * (Row.SIZE + 8)
        return (self.data - self.base) + -(-data // PAGE) * PAGE
