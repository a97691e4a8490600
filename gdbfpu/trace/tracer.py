# SPDX-License-Identifier: GPL-2.0-or-later
"""From a hit to its record, in one direction: stopped CPU, task, state, event line, totals.

`hit` reads and changes nothing; `write` and `add` record what it returns, and `entered` takes it,
too. Apart like this, each can be made again after a ^C (see gdbfpu.dbg.interruptible).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from gdbfpu.audit.watch import Watch, job_of
from gdbfpu.fpu.evidence import Evidence
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.callpath import read_call_path
from gdbfpu.kernel.tasks import Task
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.jobs import Job
from gdbfpu.text.names import named
from gdbfpu.trace.entries import Audited, Caught, Entry, Learned, audited
from gdbfpu.trace.event_file import EventWriter
from gdbfpu.trace.hit import Hit
from gdbfpu.trace.totals import Facts, Totals
from gdbfpu.trace.users import Frame, Users
from gdbfpu.xsave import features

__all__ = ("Options", "Tracer")


@dataclass(frozen=True)
class Options:
    """What `fpu-trace on` was asked for.

    `state` is how much of a state a hit reads (`none`, `header`, `full`); `backtrace` how many
    callers; `limit` after how many hits to stop (0: never); `pids` and `comms` (names or globs)
    which tasks count (empty: all); `condition` what a hit has to fulfil, as an expression of GDB
    (empty: nothing); `stop` whether the kernel stays stopped at each hit; `audit` whether calls
    are watched until they return.
    """

    state: str = "header"
    backtrace: int = 1
    limit: int = 0
    pids: tuple[int, ...] = ()
    comms: tuple[str, ...] = ()
    quiet: bool = False
    audit: bool = False
    condition: str = ""
    stop: bool = False

    def wants(self, task: Task) -> bool:
        """Return whether the filters let `task` through."""
        if self.pids and task.pid not in self.pids:
            return False
        return not self.comms or any(named(task.comm, name) for name in self.comms)


class Tracer:
    """Turns hits into records and totals; knows the kernel only through its FpuModel."""

    def __init__(
        self, looks: Looks, options: Options, totals: Totals, writer: EventWriter | None
    ) -> None:
        self.looks = looks
        self.model = model = looks.model
        self.options = options
        self.totals = totals
        self.writer = writer
        self.seq = 0
        self._call_path = read_call_path(model.kernel)
        self._watch = Watch(model) if options.audit else None
        self._users = Users(looks)
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
        return self._caught(probe, task, caller, cpu)

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

    @property
    def waiting(self) -> bool:
        """Return whether a frame is waited for, to see if its task uses the FPU."""
        return self._users.waiting

    def wait(self, caught: Caught) -> None:
        """Wait for the frame of `caught`, if it is needed; made again, it changes nothing."""
        if caught.frame is not None:
            self._users.wait(caught.caller, caught.frame)

    def learned(self, caller: Task) -> Learned | None:
        """Return what the frame shows that `caller` has written; None if it is not waited for.

        It is no more once that is added.
        """
        frame = self._users.frame_of(caller)
        if frame is None:
            return None
        evidence = self._users.written(self.totals.known(frame.task), frame)
        return Learned(frame, caller, evidence)

    def write(self, entry: Entry) -> str:
        """Append the line of `entry` to the event file; return why that has just ended, if it has.

        That is once the disk is full; the trace goes on without the file.
        """
        if self.writer is None:
            return ""
        try:
            self.writer.write(entry.to_json())
        except OSError as error:
            why = f"{self.writer.path} ends before hit {self.seq + 1}: {error.strerror}"
            self.totals.fail(why)
            self.close()
            self.writer = None
            return why
        return ""

    def add(self, entry: Entry) -> None:
        """Add `entry` to the totals, once however often; a ^C adds all of it or nothing."""
        entry.add_to(self.totals)
        if isinstance(entry, Caught):
            self.seq = entry.record.seq
        elif isinstance(entry, Learned):
            self._users.forget(entry.caller)
        elif self._watch is not None:
            self._watch.forget(entry.said.function, entry.caller)

    def lines(self, entry: Entry, width: int) -> tuple[str, ...]:
        """Return what a person sees of `entry` on a terminal of `width` columns (0: any).

        That is nothing of a hit, when asked to be quiet.
        """
        return () if isinstance(entry, Caught) and self.options.quiet else entry.lines(width)

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

    def _caught(self, probe: Probe, task: Task, caller: Task, cpu: int) -> Caught:
        """Return a hit: its record, what it adds to the totals, what it shows of its task."""
        fpu = self.model.fpu_of(task.address)
        header, image = self._state(task, fpu)
        mask, compaction = header or (0, 0)
        live = self._live(task, caller)
        evidence, frame = self._evidence(probe, task, cpu if live else None)
        answer, why = evidence.use
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
            uses_fpu=answer.to_json(),
            why=why,
            raw=image.hex() if image else None,
        )
        facts = Facts(hit.time_ns, cpu, hit.thread, mask, live, evidence.use)
        return Caught(hit, probe, task, caller, facts, evidence, frame)

    def _evidence(
        self, probe: Probe, task: Task, live_on: int | None
    ) -> tuple[Evidence, Frame | None]:
        """Return what is known of `task` at this hit, and the frame that may tell more."""
        known = self.totals.known(task)
        if self.options.state == "none":
            return known, None
        row = self.totals.tasks.get((task.address, task.pid))
        count = row.count + 1 if row else 1
        return self._users.at_hit(known, count, probe, task, live_on, self.seq + 1)

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
