# SPDX-License-Identifier: GPL-2.0-or-later
"""From a hit to its record, in one direction: stopped CPU, task, state, event line, totals.

`hit` reads and changes nothing; `write` and `add` record what it returns, and `entered` takes it,
too. Apart like this, each can be made again after a ^C (see gdbfpu.dbg.interruptible).
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gdbfpu.audit.watch import Watch, job_of
from gdbfpu.errors import CorruptState, MemoryFault
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kernel.callpath import read_call_path
from gdbfpu.kernel.tasks import Task
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.jobs import Job
from gdbfpu.trace.entries import Audited, Caught, Entry, audited
from gdbfpu.trace.event_file import EventWriter
from gdbfpu.trace.hit import Hit
from gdbfpu.trace.totals import Facts, Totals
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
        self._threads: dict[int, int] = {}

    @property
    def full(self) -> bool:
        """Return whether the limit of hits is reached."""
        return 0 < self.options.limit <= self.seq

    def hit(self, probe: Probe, cpu: int, caller: Task) -> Caught | None:
        """Return what `write` and `add` are to record of a hit of `probe`, None if filtered out.

        `cpu` is the CPU that stopped, `caller` the task that it runs. Made again, it returns the
        hit anew, by the same number, until that is added.
        Raises MemoryFault or CorruptState when the kernel's memory cannot be read or believed.
        """
        task = self._subject(probe, caller)
        if not self.options.wants(task):
            self.totals.filtered += 1
            return None
        record, facts = self._record(probe, task, caller, cpu)
        return Caught(record, probe, task, caller, facts)

    def entered(self, caught: Caught) -> Audited | None:
        """Have the call watched that begins with `caught`; return what is to be said at once.

        Raises MemoryFault or CorruptState. Made again, it changes nothing.
        """
        if self._watch is None:
            return None
        probe, seq = caught.probe, caught.record.seq
        if job_of(probe) is Job.FAULT:
            return audited(self._watch.fault(probe, seq, caught.task), caught.caller)
        self._watch.enter(probe, seq, caught.task, caught.caller)
        return None

    def returned(self, probe: Probe, caller: Task) -> Audited | None:
        """Return what the audit says of the call of `probe` that returns; None if it has no hit.

        The call is over once that is added.
        """
        said = self._watch.leave(probe.function, caller) if self._watch is not None else None
        return audited(said, caller) if said is not None else None

    def write(self, entry: Entry) -> None:
        """Append the line of `entry` to the event file; without one, once the disk is full."""
        if self.writer is None:
            return
        try:
            self.writer.write(entry.to_json())
        except OSError as error:
            where = f"{self.writer.path} ends before hit {self.seq + 1}"
            self.totals.fail(f"{where}: {error.strerror}")
            self.close()
            self.writer = None

    def add(self, entry: Entry) -> None:
        """Add `entry` to the totals, once however often; a ^C adds all of it or nothing."""
        entry.add_to(self.totals)
        if isinstance(entry, Caught):
            self.seq = entry.record.seq
        elif self._watch is not None:
            self._watch.forget(entry.said.function, entry.caller)

    def lines(self, entry: Entry) -> tuple[str, ...]:
        """Return what a person sees of `entry`: of a hit nothing, when asked to be quiet."""
        return () if isinstance(entry, Caught) and self.options.quiet else entry.lines()

    def close(self) -> None:
        """End the event file, if there is one."""
        if self.writer is not None:
            self.writer.close()

    def _subject(self, probe: Probe, caller: Task) -> Task:
        if probe.subject == "current":
            return caller
        argument = self.model.kernel.stopped().register(probe.register) or 0
        address = self.model.task_of(argument) if probe.subject == "fpu" else argument
        return caller if address == caller.address else self.model.kernel.task(address)

    def _record(self, probe: Probe, task: Task, caller: Task, cpu: int) -> tuple[Hit, Facts]:
        """Return the record of a hit, and what it adds to the totals."""
        fpu = self.model.fpu_of(task.address)
        header, image = self._state(task, fpu)
        mask, compaction = header or (0, 0)
        live = self._live(task, caller)
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
            xfeatures=f"{mask:#x}" if header else None,
            xcomp_bv=f"{compaction:#x}" if header else None,
            components=features.names(mask),
            live=live,
            backtrace=self._backtrace(),
            caller_pid=caller.pid,
            caller_comm=caller.comm,
            uses_fpu=self._uses_fpu(task, live),
            raw=image.hex() if image else None,
        )
        return hit, Facts(hit.time_ns, cpu, hit.thread, mask, live, hit.uses_fpu)

    def _state(self, task: Task, fpu: int) -> tuple[tuple[int, int] | None, bytes]:
        """Return the header and the bytes of the state at `fpu`, as much as is asked for."""
        if self.options.state == "none" or task.kthread:
            return None, b""
        image = self.model.image(fpu) if self.options.state == "full" else b""
        return self.model.header(fpu, image), image

    def _live(self, task: Task, caller: Task) -> bool:
        """Return whether the CPU has the state of `task`; only of the one that runs it can."""
        if task is not caller or task.kthread:
            return False
        return self.model.live(task.address, task.thread_flags)

    def _backtrace(self) -> tuple[str, ...]:
        depth = self.options.backtrace
        return self._call_path.names(self.model.kernel.stopped().callers(), depth) if depth else ()

    def _thread(self, task: Task, caller: Task) -> int | None:
        machine = self.model.kernel.stopped()
        if not machine.stub.threads_are_tasks or task is caller:
            return machine.stopped_thread().num
        if task.pid not in self._threads:  # all that there are now, and no more
            self._threads = {t.lwp: t.num for t in machine.threads()}
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
