# SPDX-License-Identifier: GPL-2.0-or-later
"""From a hit to its record, in one direction: stopped CPU, task, state, event line, totals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from gdbfpu.audit.record import returned_json
from gdbfpu.audit.watch import Returned, Watch, job_of
from gdbfpu.errors import CorruptState, MemoryFault
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kernel.callpath import read_call_path
from gdbfpu.kernel.tasks import Task
from gdbfpu.probes.catalogue import Probe
from gdbfpu.trace.event_file import EventWriter
from gdbfpu.trace.hit import Hit
from gdbfpu.trace.totals import Totals
from gdbfpu.xsave import features

__all__ = ("Options", "Tracer")


_SURE_LOOKS = 16  # looks at a state that is in memory, as long as they show no FPU use


@dataclass(frozen=True)
class Options:
    """What `fpu-trace on` was asked for.

    `state` is how much of a state a hit reads (`none`, `header`, `full`); `backtrace` how many
    callers; `limit` after how many hits to stop (0: never); `pids` and `comms` (globs) which
    tasks count (empty: all); `audit` whether calls are watched until they return.
    """

    state: str = "header"
    backtrace: int = 1
    limit: int = 0
    pids: tuple[int, ...] = ()
    comms: tuple[str, ...] = ()
    quiet: bool = False
    audit: bool = False

    def wants(self, task: Task) -> bool:
        """Return whether the filters let `task` through."""
        if self.pids and task.pid not in self.pids:
            return False
        return not self.comms or any(fnmatchcase(task.comm, glob) for glob in self.comms)


class Tracer:
    """Turns hits into records and totals; knows the kernel only through its FpuModel."""

    def __init__(
        self, model: FpuModel, options: Options, totals: Totals, writer: EventWriter | None
    ) -> None:
        self.model = model
        self.options = options
        self.totals = totals
        self.writer = writer
        self.seq = 0
        self._call_path = read_call_path(model.kernel)
        self._watch = Watch(model) if options.audit else None
        self._last: tuple[Task, Task] | None = None
        self._told = 0  # the last hit that was a fault, once it is recorded as one
        self._threads: dict[int, int] = {}

    @property
    def full(self) -> bool:
        """Return whether the limit of hits is reached."""
        return 0 < self.options.limit <= self.seq

    def hit(self, probe: Probe) -> Hit | None:
        """Record that the stopped CPU is at `probe`; None when the filters want no such task.

        Raises MemoryFault or CorruptState when the kernel's memory cannot be read or believed.
        """
        kernel = self.model.kernel
        cpu, caller = kernel.current()
        task = self._subject(probe, caller)
        if not self.options.wants(task):
            self.totals.filtered += 1
            return None
        record, mask = self._record(probe, task, caller, cpu)
        row = self.totals.of(task)
        row.hits.setdefault(record.function, 0)
        path = self.totals.path((record.function, *record.backtrace))
        # A ^C up to here leaves nothing of this hit: it is recorded anew.
        self._write(record.to_json)
        # From here on nothing is called: Python takes a ^C only where something is.
        self.seq = record.seq
        self.totals.paths[path] += 1
        row.hits[record.function] += 1
        row.live_hits += record.live
        row.memory_hits += not record.live
        row.components |= mask
        row.uses_fpu = record.uses_fpu
        row.comm, row.thread, row.cpu = record.comm, record.thread, record.cpu
        row.first_ns = row.first_ns or record.time_ns
        row.last_ns = record.time_ns
        self._last = task, caller
        return record

    def entered(self, probe: Probe) -> Returned | None:
        """Have the call of `probe` watched that the last hit recorded; return what is said at once.

        Raises MemoryFault or CorruptState. Made again, it changes nothing.
        """
        if self._watch is None or self._last is None:
            return None
        task, caller = self._last
        if job_of(probe) == "fault":
            found = self._watch.fault(probe, self.seq, task)
            told, self._told = self._told, self.seq
            return self._keep(found) if told != self.seq else None
        self._watch.enter(probe, self.seq, task, caller)
        return None

    def returned(self, probe: Probe) -> Returned | None:
        """Record what the audit says of the call of `probe` that returns; None if it has no hit."""
        caller = self.model.kernel.current()[1]
        found = self._watch.leave(probe.function, caller) if self._watch is not None else None
        if found is None or self._watch is None:
            return None
        self._watch.forget(probe.function, caller)
        return self._keep(found)

    def _keep(self, found: Returned) -> Returned:
        self._write(partial(returned_json, found))
        self.totals.keep(found)
        return found

    def close(self) -> None:
        """End the event file, if there is one."""
        if self.writer is not None:
            self.writer.close()

    def _write(self, line: Callable[[], Mapping[str, Any]]) -> None:
        """Write what `line` returns; the trace goes on without the file once the disk is full."""
        if self.writer is None:
            return
        try:
            self.writer.write(line())
        except OSError as error:
            where = f"{self.writer.path} ends before hit {self.seq + 1}"
            self.totals.fail(f"{where}: {error.strerror}")
            self.close()
            self.writer = None

    def _subject(self, probe: Probe, caller: Task) -> Task:
        if probe.subject == "current":
            return caller
        argument = self.model.kernel.target.register(probe.register) or 0
        address = self.model.task_of(argument) if probe.subject == "fpu" else argument
        return caller if address == caller.address else self.model.kernel.task(address)

    def _record(self, probe: Probe, task: Task, caller: Task, cpu: int) -> tuple[Hit, int]:
        model, state = self.model, self.options.state
        fpu = model.fpu_of(task.address)
        none = state == "none" or task.kthread
        image = model.image(fpu) if state == "full" and not none else b""
        header = None if none else model.header(fpu, image)
        mask = header[0] if header else 0
        mine = task is caller and not task.kthread
        live = mine and model.live(task.address, task.thread_flags)
        hit = Hit(
            seq=self.seq + 1,
            time_ns=time.time_ns(),
            function=probe.function,
            thread=self._thread(task, caller),
            pid=task.pid,
            tgid=task.tgid,
            comm=task.comm,
            cpu=cpu,
            task=f"{task.address:#x}",
            fpu=f"{fpu:#x}",
            xfeatures=f"{header[0]:#x}" if header else None,
            xcomp_bv=f"{header[1]:#x}" if header else None,
            components=features.names(mask),
            live=live,
            backtrace=self._backtrace(),
            caller_pid=caller.pid,
            caller_comm=caller.comm,
            uses_fpu=self._uses_fpu(task, live),
            raw=image.hex() if image else None,
        )
        return hit, mask

    def _backtrace(self) -> tuple[str, ...]:
        depth = self.options.backtrace
        return self._call_path.names(self.model.kernel.target.callers(), depth) if depth else ()

    def _thread(self, task: Task, caller: Task) -> int | None:
        stopped = self.model.kernel.target.stopped_thread()
        if self.model.kernel.target.stub != "kgdb" or task is caller:
            return stopped.num
        if task.pid not in self._threads:  # all that there are now, and no more
            self._threads = {t.lwp: t.num for t in self.model.kernel.target.threads()}
        return self._threads.get(task.pid)

    def _uses_fpu(self, task: Task, live: bool) -> bool | None:
        """Return whether `task` uses the FPU as far as is known at this hit.

        A task may end before anybody asks, and its state with it; a look at each hit would
        cost as much as --state full. So: at hits 1, 2, 4, 8 ... until it shows FPU use, and at
        the first few where memory, not the CPU, has what the task works with: what memory has
        at others may be from inside a signal handler, which begins with the initial state.
        """
        row = self.totals.tasks.get((task.address, task.pid))
        known, count, sure = (row.uses_fpu, row.count + 1, row.memory_hits) if row else (None, 1, 0)
        telling = not count & (count - 1) or (not live and sure < _SURE_LOOKS)
        if self.options.state == "none" or known or not telling:
            return known
        with suppress(CorruptState, MemoryFault):  # the hit itself could be read
            return self.model.uses_fpu(task)
        return known
