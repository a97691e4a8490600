# SPDX-License-Identifier: GPL-2.0-or-later
"""How a fast trace records, and which tasks its trampolines let through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbfpu.errors import UsageError
from gdbfpu.fast.recorder import Filters, Name

__all__ = ("MAX_ROOM", "Recording", "filters_of")

MAX_ROOM = 1 << 20
"""The most rows of a table, and slots of a ring."""

_LENGTH = 16  # TASK_COMM_LEN
_GLOB = frozenset("*?[")


@dataclass(frozen=True)
class Recording:
    """`ring`: keep each pass, else count them by task. `room`: slots or rows, a power of two.

    A ring that is full stops the kernel until it is read, or loses passes if it is `lossy`.
    """

    ring: bool
    room: int
    lossy: bool = False

    @property
    def slots(self) -> int:
        """Return the slots of the ring, 0 for a table."""
        return self.room if self.ring else 0

    @property
    def rows(self) -> int:
        """Return the rows of the table, 0 for a ring."""
        return 0 if self.ring else self.room


def filters_of(pids: Sequence[int], comms: Sequence[str]) -> Filters:
    """Return the filters for these pids and names.

    Raises UsageError for another glob than `X*`, and for what no task can have.
    """
    for pid in pids:
        if pid >= 1 << 32:
            raise UsageError(f"--pid {pid}: no task can have this pid")
    return Filters(tuple(pids), tuple(map(_name, comms)))


def _name(comm: str) -> Name:
    prefix = comm.endswith("*")
    text = comm[:-1] if prefix else comm
    if _GLOB & set(text) or not text.isascii() or "\\" in text:
        raise UsageError(
            f"--comm {comm}: with --fast, a name is plain ASCII, or its beginning and a *"
        )
    if len(text) >= _LENGTH:
        raise UsageError(f"--comm {comm}: a task's name has at most {_LENGTH - 1} characters")
    data = text.encode("ascii")
    if not prefix:
        data += b"\0"
    mask = (1 << 8 * len(data)) - 1
    return Name(int.from_bytes(data, "little"), mask)
