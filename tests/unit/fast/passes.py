# SPDX-License-Identifier: GPL-2.0-or-later
"""What the recorder has to write, by its documentation alone: a model of the ring and the table."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

LIVE, KTHREAD, ACTIVE, OTHER, HEADER = 1, 2, 4, 8, 16
PF_KTHREAD = 0x200000  # include/linux/sched.h
SLOT = struct.Struct("<QQQQ16sIIIHBB")
"""TSC, task, xfeatures, xcomp_bv, name, pid, tgid, caller, CPU, function, flags."""
SECOND = (slice(0, 16), slice(32, 56))
"""What is written of the slot of the running task, if it is another one: TSC, task, name, ids."""
ROW = struct.Struct("<QQQQQIIQQ16sIIQ")
"""Task, key, hits, live, xfeatures, CPU, flags, first, last, name, tgid, caller, xcomp_bv."""
CONTROL = struct.Struct("<IIQQQQQQQ64Q")
"""Lock, HEAD, STOP_AT, LOST, FILTERED, USED, then the passes of each function."""


@dataclass
class Task:
    """A task_struct: its address, and what the recorder finds in it."""

    address: int
    pid: int = 0
    tgid: int = 0
    name: bytes = bytes(16)
    flags: int = 0
    live: bool = False
    active: bool = False
    header: tuple[int, int] | None = None


@dataclass
class Pass:
    """A call of function number `function`, about `subject`, while `current` runs on `cpu`."""

    function: int
    cpu: int
    current: Task
    subject: Task
    caller: int
    tsc: int


@dataclass
class Model:
    """The control words and the `data` of a trace, of a ring of `slots` or a table of `rows`.

    With `header` the XSAVE header is wanted; with `lazy` tasks may have no state. `pids` and
    `names` (pairs of a name and the number of bytes that count) are the filters.
    """

    slots: int
    rows: int
    header: bool
    lazy: bool
    pids: tuple[int, ...]
    names: tuple[tuple[bytes, int], ...]
    head: int = 0
    stop_at: int = 0
    lost: int = 0
    filtered: int = 0
    passes: list[int] = field(default_factory=lambda: [0] * 64)
    table: dict[tuple[int, ...], list] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)

    @property
    def control(self) -> bytes:
        return CONTROL.pack(
            0, 0, self.head, self.stop_at, self.lost, self.filtered, len(self.table), 0, 0,
            *self.passes,
        )  # fmt: skip

    @property
    def counters(self) -> tuple[int, ...]:
        """HEAD, LOST, FILTERED, the rows in use."""
        return self.head, self.lost, self.filtered, len(self.table)

    def wants(self, task: Task) -> bool:
        pid = not self.pids or task.pid in self.pids
        return pid and (
            not self.names or any(task.name[:size] == name[:size] for name, size in self.names)
        )

    def has_room(self, one: Pass) -> bool:
        need = 2 if self.slots and one.subject is not one.current else 1
        return self.head + need <= self.stop_at

    def flags(self, one: Pass) -> int:
        task = one.subject
        if task.flags & PF_KTHREAD:
            return KTHREAD
        live, header = task.live and task is one.current, self.header and task.header is not None
        return LIVE * live | ACTIVE * (self.lazy and task.active) | HEADER * header

    def record(self, one: Pass) -> None:
        """Note a pass that is wanted and has room, or count it as lost if the table is full."""
        bare = not self.header or one.subject.flags & PF_KTHREAD
        header = None if bare else one.subject.header
        header = header or (0, 0)
        if self.slots:
            self._fill(one, header)
        elif not self._add(one, header):
            self.lost += 1
            return
        self.passes[one.function] += 1

    def _fill(self, one: Pass, header: tuple[int, int]) -> None:
        other = one.subject is not one.current
        slot = self._slot(one, one.subject, header, self.flags(one) | OTHER * other)
        self._put(self.head, slot, (slice(0, 64),))
        if other:
            self._put(self.head + 1, self._slot(one, one.current, (0, 0), 0), SECOND)
        self.head += 1 + other

    def _put(self, number: int, slot: bytes, parts: tuple[slice, ...]) -> None:
        start = number % self.slots * 64
        for part in parts:
            self.data[start + part.start : start + part.stop] = slot[part]

    def _slot(self, one: Pass, task: Task, header: tuple[int, int], flags: int) -> bytes:
        caller = one.caller & 0xFFFFFFFF
        return SLOT.pack(
            one.tsc, task.address, *header, task.name, task.pid, task.tgid,
            caller, one.cpu, one.function, flags,
        )  # fmt: skip

    def _add(self, one: Pass, header: tuple[int, int]) -> bool:
        task, flags = one.subject, self.flags(one)
        key = task.address, one.function << 32 | task.pid, header[0]
        if key not in self.table and len(self.table) == self.rows:
            return False
        fresh = [*key[:2], 0, 0, header[0], 0, 0, one.tsc, 0, b"", task.tgid, 0, 0]
        row = self.table.setdefault(key, fresh)
        row[2] += 1
        row[3] += flags & LIVE
        row[5] = one.cpu
        row[6] |= flags
        row[8], row[9], row[11], row[12] = one.tsc, task.name, one.caller & 0xFFFFFFFF, header[1]
        number = list(self.table).index(key)
        self.data[number * 96 : number * 96 + 96] = ROW.pack(*row)
        self.head += 1
        return True
