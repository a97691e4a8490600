# SPDX-License-Identifier: GPL-2.0-or-later
"""From a hit to its record, step by step: stopped CPU, task, state, event line, totals.

`hit` reads the kernel and returns an entry; `entered`, `write` and `add` take that entry. Each
step can be repeated after a ^C (see gdbfpu.dbg.interruptible).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from gdbfpu.audit.watch import Watch, job_of
from gdbfpu.fpu.evidence import Evidence
from gdbfpu.fpu.looks import Looks
from gdbfpu.fpu.registers import loaded, shown_registers
from gdbfpu.kernel.callpath import read_call_path
from gdbfpu.kernel.tasks import Task
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.jobs import Job
from gdbfpu.text.names import named
from gdbfpu.trace.entries import Audited, Caught, Entry, Learned, audited
from gdbfpu.trace.event_file import EventWriter, Hit
from gdbfpu.trace.kept import Kept
from gdbfpu.trace.totals import Facts, Totals
from gdbfpu.trace.users import Frame, Users
from gdbfpu.xsave import features

__all__ = ("Options", "Tracer")


@dataclass(frozen=True)
class Options:
    """The options of `fpu-trace on`.

    `state` is how much of the FPU state a hit reads (`none`, `header`, `full`), `backtrace` how
    many callers to record, `limit` after how many hits to stop (0: never). `pids` and `comms`
    (names or globs) select tasks (empty: all). `condition` is a GDB expression that must be true
    at a hit (empty: none). `stop` keeps the kernel stopped at each hit. `audit` watches calls
    until they return.
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
    """Turns hits into records and totals. It reads the kernel only through its FpuModel."""

    def __init__(
        self, looks: Looks, options: Options, totals: Totals, writer: EventWriter | None
    ) -> None:
        self.looks = looks
        self.model = model = looks.model
        self.options = options
        self.totals = totals
        self.writer = writer
        self.kept: Kept | None = None  # where hits are kept for a script
        self.seq = 0
        self._call_path = read_call_path(model.kernel)
        self._watch = Watch(model) if options.audit else None
        self._users = Users(looks)
        self._threads: dict[int, int] = {}

    @property
    def full(self) -> bool:
        """Return whether the trace has reached its limit of hits."""
        return 0 < self.options.limit <= self.seq

    def hit(self, probe: Probe, cpu: int, caller: Task) -> Caught | None:
        """Return the entry for a hit of `probe`, None if it is filtered out or no refusal.

        `cpu` is the CPU that stopped, `caller` the task it runs. Until the entry is added, a
        second call returns it again with the same number. Raises MemoryFault when the kernel's
        memory cannot be read, CorruptState when it makes no sense.
        """
        if probe.refusal and self._granted():
            return None
        task = self._subject(probe, caller)
        if not self.options.wants(task):
            self.totals.filtered += 1
            return None
        return self._caught(probe, task, caller, cpu)

    def entered(self, caught: Caught) -> Audited | None:
        """Watch the call that begins with `caught`; if it is a fault, return its audit at once.

        Raises MemoryFault or CorruptState. A second call changes nothing.
        """
        if self._watch is None:
            return None
        probe, seq = caught.probe, caught.record.seq
        if job_of(probe) is Job.FAULT:
            return audited(self._watch.fault(probe, seq, caught.task), caught.caller)
        live_on = caught.record.cpu if caught.record.live else None
        self._watch.enter(probe, seq, caught.task, caught.caller, live_on)
        return None

    def returned(self, probe: Probe, caller: Task) -> Audited | None:
        """Return the audit of the call of `probe` that now returns; None if it is not watched.

        The call is watched until the audit is added.
        """
        said = self._watch.leave(probe.function, caller) if self._watch is not None else None
        return audited(said, caller) if said is not None else None

    def caller(self, probe: Probe) -> Task | None:
        """Return the task that now returns from `probe`'s function, as it was on entry.

        Returns None if no call that is watched shows which task this is.
        """
        return self._watch.caller(probe.function) if self._watch is not None else None

    @property
    def waiting(self) -> bool:
        """Return whether the trace waits for a signal frame, to see if its task uses the FPU."""
        return self._users.waiting

    def wait(self, caught: Caught) -> None:
        """Wait for the signal frame of `caught`, if any. A second call changes nothing."""
        if caught.frame is not None:
            self._users.wait(caught.caller, caught.frame)

    def learned(self, caller: Task) -> Learned | None:
        """Return what the frame that `caller` has written shows; None if nothing waits for it.

        The trace waits for the frame until the result is added.
        """
        frame = self._users.frame_of(caller)
        if frame is None:
            return None
        evidence = self._users.written(self.totals.known(frame.task), frame)
        return Learned(frame, caller, evidence)

    def write(self, entry: Entry) -> str:
        """Append the line of `entry` to the event file, if any; return why it failed, or ``.

        If the disk is full, the event file ends, and the trace goes on without the file.
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
        """Add `entry` to the totals. A second call adds nothing; a ^C never adds half of it."""
        entry.add_to(self.totals)
        if isinstance(entry, Caught):
            if self.kept is not None:
                self.kept.keep(entry.record)
            self.seq = entry.record.seq
        elif isinstance(entry, Learned):
            self._users.forget(entry.caller)
        elif self._watch is not None:
            self._watch.forget(entry.said.function, entry.caller)

    def lines(self, entry: Entry, width: int) -> tuple[str, ...]:
        """Return the lines to print for `entry` on a terminal of `width` columns (0: any).

        With `quiet`, a hit has none.
        """
        return () if isinstance(entry, Caught) and self.options.quiet else entry.lines(width)

    def close(self) -> None:
        """Close the event file, if there is one."""
        if self.writer is not None:
            self.writer.close()

    def _granted(self) -> bool:
        """Return whether the function that now returns, a bool, returns true."""
        return bool((self.model.kernel.stopped().register("rax") or 0) & 0xFF)

    def _subject(self, probe: Probe, caller: Task) -> Task:
        if probe.subject == "current":
            return caller
        argument = self.model.kernel.stopped().register(probe.register) or 0
        address = self.model.task_of(argument) if probe.subject == "fpu" else argument
        return caller if address == caller.address else self.model.kernel.task(address)

    def _caught(self, probe: Probe, task: Task, caller: Task, cpu: int) -> Caught:
        """Return a hit: its record, what it adds to the totals, what it shows about its task."""
        fpu = self.model.fpu_of(task.address)
        header, image = self._state(task, fpu, caller)
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
            registers=self._registers(task, cpu) if image and live else None,
        )
        facts = Facts(hit.time_ns, cpu, hit.thread, mask, live, evidence.use)
        return Caught(hit, probe, task, caller, facts, evidence, frame)

    def _evidence(
        self, probe: Probe, task: Task, live_on: int | None
    ) -> tuple[Evidence, Frame | None]:
        """Return what is known about `task` at this hit, and the frame that may tell more."""
        known = self.totals.known(task)
        if self.options.state == "none":
            return known, None
        row = self.totals.tasks.get((task.address, task.pid))
        count = row.count + 1 if row else 1
        return self._users.at_hit(known, count, probe, task, live_on, self.seq + 1)

    def _unborn(self, task: Task, fpu: int, caller: Task) -> bool:
        """Return whether `task` is a child that its parent `caller` has not given a state yet."""
        return task is not caller and self.model.lacks_image(fpu)

    def _state(self, task: Task, fpu: int, caller: Task) -> tuple[tuple[int, int] | None, bytes]:
        """Return the header and the bytes of the state at `fpu`, as far as the options ask."""
        if self.options.state == "none" or task.kthread or self._unborn(task, fpu, caller):
            return None, b""
        image = self.model.image(fpu) if self.options.state == "full" else b""
        return self.model.header(fpu, image), image

    def _registers(self, task: Task, cpu: int) -> dict[str, str] | None:
        """Return the registers of `task` in CPU number `cpu` as hex, None if there are none."""
        shown = shown_registers(self.model, cpu) if loaded(self.model, task.address, cpu) else {}
        return {name: value.hex() for name, value in shown.items()} or None

    def _live(self, task: Task, caller: Task) -> bool:
        """Return whether the CPU has the state of `task`.

        A CPU has only the state of the task that it runs, `caller`.
        """
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
        if task.pid not in self._threads:  # a new task: read the thread list again
            self._threads = {t.lwp: t.num for t in machine.threads()}
        return self._threads.get(task.pid)
