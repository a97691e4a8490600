# SPDX-License-Identifier: GPL-2.0-or-later
"""Decode what a fast trace has recorded: slots of the ring, rows of the table, control words.

All of it comes from the kernel's memory, so nothing in it is believed unchecked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from gdbfpu.errors import CorruptState
from gdbfpu.fast.layout import Control, Flag
from gdbfpu.fast.options import Recording
from gdbfpu.text.printable import printable

__all__ = (
    "Counted",
    "Pass",
    "Who",
    "Words",
    "check_words",
    "parse_control",
    "parse_ring",
    "parse_table",
)

_KERNEL = 0xFFFFFFFF << 32  # the upper half of an address in the kernel's text
_SLOT = struct.Struct("<QQQQ16sIIII")
_ROW = struct.Struct("<QQQQQIIQQ16sIIQ")


@dataclass(frozen=True)
class Who:
    """A task: the address of its task_struct, pid, tgid, and its name, safe on a terminal."""

    task: int
    pid: int
    tgid: int
    comm: str


@dataclass(frozen=True)
class Pass:
    """One pass through the function with this `number`.

    `who` owns the FPU state, `running` is the task that `cpu` ran. `caller` is the return address.
    `xfeatures` and `xcomp_bv` mean nothing without `Flag.HEADER`.
    """

    tsc: int
    who: Who
    running: Who
    number: int
    cpu: int
    caller: int
    flags: Flag
    xfeatures: int
    xcomp_bv: int


@dataclass(frozen=True)
class Counted:
    """A row of the table: `hits` passes of `who` through function `number`, with one XSTATE_BV.

    `live` is how many of them had live registers. `cpu`, `caller` and the name are those of the
    last pass; `first` and `last` are time-stamp counters; `flags` are those of all passes.
    """

    who: Who
    number: int
    hits: int
    live: int
    xfeatures: int
    cpu: int
    caller: int
    flags: Flag
    first: int
    last: int


@dataclass(frozen=True)
class Words:
    """The control words; see Control."""

    head: int
    stop_at: int
    lost: int
    filtered: int
    used: int
    passes: tuple[int, ...]


def parse_control(data: bytes, functions: int) -> Words:
    """Return the control words in `data`, with the passes of the first `functions` functions."""
    head, stop_at, lost, filtered, used = struct.unpack_from("<5Q", data, Control.HEAD)
    passes = struct.unpack_from(f"<{functions}Q", data, Control.PASSES)
    return Words(head, stop_at, lost, filtered, used, passes)


def check_words(words: Words, before: Words, read: int, recording: Recording) -> None:
    """Raise CorruptState if the kernel cannot have counted `words` after `before`.

    `read` is how many slots of a ring were read so far.
    """
    if recording.ring and not read <= words.head <= read + recording.slots:
        raise CorruptState("the ring's counters make no sense: the kernel's memory was damaged")
    if words.used > recording.rows:
        raise CorruptState(
            f"the table has {words.used} rows in use of {recording.rows}: "
            "the kernel's memory was damaged"
        )
    if words.lost < before.lost or words.filtered < before.filtered:
        raise CorruptState("the trace's counters went back: the kernel's memory was damaged")


def parse_ring(data: bytes, functions: int) -> Iterator[Pass]:
    """Yield the passes in the slots of `data`, oldest first; raise CorruptState.

    The last pass is left out if its second slot is missing.
    """
    slots = _SLOT.iter_unpack(data)
    for tsc, task, mask, compaction, comm, pid, tgid, caller, word in slots:
        flags, number, cpu = Flag(word >> 24 & _ALL), word >> 16 & 0xFF, word & 0xFFFF
        _check(number, functions)
        running = who = Who(task, pid, tgid, printable(comm))
        if flags & Flag.OTHER:
            second = next(slots, None)
            if second is None:
                return
            running = Who(second[1], second[5], second[6], printable(second[4]))
        caller |= _KERNEL
        yield Pass(tsc, who, running, number, cpu, caller, flags, mask, compaction)


def parse_table(data: bytes, functions: int) -> Iterator[Counted]:
    """Yield the rows in `data`; raise CorruptState."""
    for values in _ROW.iter_unpack(data):
        task, key, hits, live, mask, cpu, flags, first, last, comm, tgid, caller, _ = values
        number = key >> 32
        _check(number, functions)
        if live > hits:
            raise CorruptState(f"the table has {live} live passes among {hits}")
        who = Who(task, key & 0xFFFFFFFF, tgid, printable(comm))
        caller |= _KERNEL
        yield Counted(who, number, hits, live, mask, cpu, caller, Flag(flags & _ALL), first, last)


_ALL = sum(Flag)


def _check(number: int, functions: int) -> None:
    if number >= functions:
        raise CorruptState(f"the record of a pass names function {number} of {functions}")
