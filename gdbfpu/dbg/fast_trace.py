# SPDX-License-Identifier: GPL-2.0-or-later
"""A trace that the kernel records itself: collect what it has recorded, and end it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from gdbfpu.dbg.fast_full import FullPoint
from gdbfpu.dbg.fast_install import FastPlan, Installed, restore_text, take_out
from gdbfpu.dbg.interruptible import postponed
from gdbfpu.dbg.point import Host
from gdbfpu.dbg.progress import Progress
from gdbfpu.dbg.symbols import name_around
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.dbg.terminal import hit_width, say, tell
from gdbfpu.errors import CorruptState, GdbFpuError, MemoryFault
from gdbfpu.fast.clock import Clock
from gdbfpu.fast.layout import CONTROL_SIZE, Control, Record, Row
from gdbfpu.fast.records import (
    Counted,
    Words,
    check_words,
    parse_control,
    parse_ring,
    parse_table,
)
from gdbfpu.text.counted import counted
from gdbfpu.trace.passes import Passes
from gdbfpu.trace.tracer import Tracer

__all__ = ("ALWAYS", "FastTrace")

ALWAYS = (1 << 63) - 1
"""A number of slots or passes that no trace reaches."""

_CHUNK = 64  # slots or rows to read at once; their passes are handed on together


class FastTrace:
    """Functions of the kernel that record their passes, and what is read of the records so far."""

    def __init__(
        self,
        target: GdbTarget,
        tracer: Tracer,
        plan: FastPlan,
        installed: Installed,
        host: Host,
    ) -> None:
        self._target = target
        self._tracer = tracer
        self._plan = plan
        self._installed = installed
        self._tail = 0  # the slots that were read
        self._words: Words | None = None
        probes = [one.probe for one in plan.functions]
        self._counted = Words(0, 0, 0, 0, 0, ())
        self._lost = ""  # why the last records could not be collected
        self._passes = Passes(tracer, probes, installed.clock, name_around)
        self._full: FullPoint | None = None
        if (plan.recording.ring and not plan.recording.lossy) or tracer.options.limit:
            kernel = tracer.model.kernel
            self._full = FullPoint(target, kernel, installed.program, host, self.collect)

    @property
    def clock(self) -> Clock:
        """Return the clock, which wants to know when the kernel runs."""
        return self._installed.clock

    def collect(self) -> None:
        """Hand all passes that were recorded to the tracer; a ^C leaves the rest for later."""
        if not self._in_place():
            raise GdbFpuError("the kernel was restarted, so its records are gone: `fpu-trace off`")
        self._collect()

    def _collect(self) -> None:
        self.clock.stopped(time.time_ns())
        words = self._read_words()
        check_words(words, self._counted, self._tail, self._plan.recording)
        self._words = words
        if words.head > self._counted.head:  # over KGDB, the list takes many packets
            self._passes.threads = {one.lwp: one.num for one in self._target.threads()}
        if self._plan.recording.ring:
            self._collect_ring(words)
        else:
            self._collect_table(words)
        self._make_room()
        self._count_the_rest(words)

    def _count_the_rest(self, words: Words) -> None:
        """Add to the totals what was not recorded. After the limit, passes are not missed."""
        totals, before = self._tracer.totals, self._counted
        totals.filtered += words.filtered - before.filtered
        if words.lost > before.lost and not self._tracer.full:
            totals.fail("no room for its record: give more --rows", words.lost - before.lost)
        self._counted = words

    def describe(self) -> Iterator[str]:
        """Yield a line for each function, and one on what the records hold."""
        words = self._words
        for number, one in enumerate(self._plan.functions):
            passed = counted(words.passes[number] if words else 0, "time")
            window, entry = one.window, self._installed.program.entries[number]
            yield (
                f"{one.probe.function} at {window.address:#x}, diverted to {entry:#x}: "
                f"recorded {passed}"
            )
        recording, area = self._plan.recording, self._installed.area
        if recording.ring:
            yield f"a ring of {recording.slots} records ({area.size >> 10} KiB)"
        else:
            used = words.used if words else 0
            yield f"a table of {recording.rows} rows, {used} in use ({area.size >> 10} KiB)"

    def end(self) -> None:
        """Restore the kernel's text, collect what is left, and free the memory.

        If no task can be borrowed to free it, the memory stays allocated, and a line says so. After
        a restart of the kernel there is nothing to restore.
        """
        target, kernel, journal = (self._target, self._tracer.model.kernel, self._installed.journal)
        if not self._in_place():
            self.drop_point()
            journal.remove()
            return
        with suppress(GdbFpuError):  # damaged records must not keep the text from being restored
            self._collect()
        plan, kept = self._plan, ""
        try:
            take_out(target, kernel, plan.memory, plan.lend, journal, self._restored)
        except GdbFpuError as error:
            restore_text(target, journal)
            self._restored()
            size = self._installed.area.size >> 10
            kept = f"fpu-trace: {size} KiB of the kernel's memory stay allocated: {error}"
        if self._lost:
            tell(f"fpu-trace: {self._lost}; what is left of the records is lost")
        if kept:
            tell(kept)
        journal.remove()

    def _restored(self) -> None:
        """Collect what was recorded until the text was restored, or while CPUs left our code."""
        self.drop_point()
        self._lost = ""
        try:
            self._collect()
        except GdbFpuError as error:
            self._lost = str(error)

    def _in_place(self) -> bool:
        """Return whether the kernel's text has our jumps. A kernel that was restarted has none."""
        entry = self._installed.journal.entries[0]
        try:
            return self._target.read_memory(entry.address, len(entry.new)) == entry.new
        except MemoryFault:  # it is elsewhere now (KASLR)
            return False

    @property
    def points(self) -> tuple[FullPoint, ...]:
        """Return the breakpoint in the recorder, if there is one."""
        return (self._full,) if self._full is not None else ()

    def drop_point(self) -> None:
        """Remove the breakpoint in the recorder, if there is one."""
        if self._full is not None:
            self._full.remove()
        self._full = None

    def _read_words(self) -> Words:
        data = self._target.read_memory(self._installed.area.control, CONTROL_SIZE)
        return parse_control(data, len(self._plan.functions))

    def _collect_ring(self, words: Words) -> None:
        began = self._tail
        if words.head == began:
            return
        newest = int.from_bytes(self._slots(words.head - 1, 1)[:8], "little")
        progress = Progress("records")
        while self._tail < words.head and not self._tracer.full:
            read = self._slots(self._tail, min(_CHUNK, words.head - self._tail))
            with postponed():
                self._take(read, newest)
            progress(self._tail - began, words.head - began)
        self._tail = words.head

    def _slots(self, first: int, count: int) -> bytes:
        """Return `count` slots of the ring from number `first` on, around its end if need be."""
        slots, data = self._plan.recording.slots, self._installed.area.data
        first %= slots
        straight = min(count, slots - first)
        read = self._target.read_memory(data + first * Record.SIZE, straight * Record.SIZE)
        if straight < count:
            read += self._target.read_memory(data, (count - straight) * Record.SIZE)
        return read

    def _take(self, read: bytes, newest: int) -> None:
        """Hand on the passes in the slots `read`, up to the limit of hits."""
        before = self._tail
        for one in parse_ring(read, len(self._plan.functions)):
            if self._tracer.full:
                return
            caught = self._passes.caught(one, newest)
            if why := self._tracer.write(caught):
                tell(f"fpu-trace: {why}; the trace goes on without this file")
            self._tracer.add(caught)
            for line in self._tracer.lines(caught, hit_width()):
                say(line)
            self._tail += 1 + (one.who is not one.running)
        if self._tail == before:
            raise CorruptState("the ring has half a pass: the kernel's memory was damaged")

    def _collect_table(self, words: Words) -> None:
        rows: list[Counted] = []
        progress = Progress("rows")
        for first in range(0, words.used, _CHUNK):
            count = min(_CHUNK, words.used - first)
            place = self._installed.area.data + first * Row.SIZE
            read = self._target.read_memory(place, count * Row.SIZE)
            rows += parse_table(read, len(self._plan.functions))
            progress(len(rows), words.used)
        newest = max((row.last for row in rows), default=0)
        with postponed():
            for number, row in enumerate(rows):
                self._passes.count(number, row, newest)

    def _make_room(self) -> None:
        stop_at = self._stop_at()
        place = self._installed.area.control + Control.STOP_AT
        self._target.write_memory(place, stop_at.to_bytes(8, "little"))

    def _stop_at(self) -> int:
        """Return up to where the kernel may record; a pass of two tasks takes two slots."""
        limit, slots = self._tracer.options.limit, self._plan.recording.slots
        if not slots:
            return limit or ALWAYS
        left = max(0, limit - self._tracer.seq)
        return self._tail + min(slots, max(2 * bool(left), left) if limit else ALWAYS)
