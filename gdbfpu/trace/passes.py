# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn what trampolines have recorded into hits and totals, as a stopping trace has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gdbfpu.errors import CorruptState
from gdbfpu.fast.clock import Clock
from gdbfpu.fast.layout import Flag
from gdbfpu.fast.records import Counted, Pass, Who
from gdbfpu.fpu.evidence import Basis, Evidence, Observation
from gdbfpu.kernel.tasks import Task
from gdbfpu.probes.catalogue import Probe
from gdbfpu.trace.entries import Caught
from gdbfpu.trace.event_file import Hit
from gdbfpu.trace.totals import Facts
from gdbfpu.trace.tracer import Tracer
from gdbfpu.xsave import features

__all__ = ("Passes",)


class Passes:
    """Hands recorded passes to `tracer`. `probes` are the functions, by their numbers in records.

    `name_of` returns the name of the function around an address.
    """

    def __init__(
        self,
        tracer: Tracer,
        probes: Sequence[Probe],
        clock: Clock,
        name_of: Callable[[int], str],
    ) -> None:
        self._tracer = tracer
        self._probes = probes
        self._clock = clock
        self._name_of = name_of
        self._rows: dict[int, tuple[int, int]] = {}  # what the totals have of each row
        self.threads: Mapping[int, int] = {}
        """GDB's thread numbers by the stub's: pids over KGDB, CPUs from 1 elsewhere."""

    def caught(self, one: Pass, newest: int) -> Caught:
        """Return the hit of the pass `one`; `newest` is the last time-stamp counter recorded."""
        tracer, flags = self._tracer, one.flags
        model, probe = tracer.model, self._probes[one.number]
        task, running = _task(one.who, flags), _task(one.running, flags)
        evidence = self._evidence(task, flags, tracer.seq + 1)
        answer, why = evidence.use
        header = bool(flags & Flag.HEADER)
        mask = one.xfeatures if header else 0
        live = bool(flags & Flag.LIVE)
        hit = Hit(
            seq=tracer.seq + 1,
            time_ns=self._clock.ns(one.tsc, newest),
            function=probe.function,
            thread=self._thread(task, one.cpu),
            pid=task.pid,
            tgid=task.tgid,
            comm=task.comm,
            cpu=one.cpu,
            task=f"{task.address:#x}",
            fpu=f"{model.fpu_of(task.address):#x}",
            xfeatures=f"{mask:#x}" if header else None,
            xcomp_bv=f"{one.xcomp_bv:#x}" if header else None,
            components=features.names(mask),
            live=live,
            backtrace=self._backtrace(one.caller),
            caller_pid=running.pid,
            caller_comm=running.comm,
            uses_fpu=answer.to_json(),
            why=why,
        )
        facts = Facts(hit.time_ns, one.cpu, hit.thread, mask, live, evidence.use)
        return Caught(hit, probe, task, running, facts, evidence, None)

    def count(self, number: int, row: Counted, newest: int) -> None:
        """Add to the totals what the row with this `number` has more than when it was last read.

        A CPU may have been stopped between the two counters; what is missing comes the next time.
        Raises CorruptState if a counter went back.
        """
        counted, counted_live = self._rows.get(number, (0, 0))
        hits = row.hits - counted
        live = min(row.live - counted_live, hits)
        if live < 0:
            raise CorruptState("the table's counters went back: the kernel's memory was damaged")
        totals, task = self._tracer.totals, _task(row.who, row.flags)
        path = (self._probes[row.number].function, *self._backtrace(row.caller))
        evidence = self._evidence(task, row.flags, 0)
        totals.learn(task, evidence)
        first, last = (self._clock.ns(tsc, newest) for tsc in (row.first, row.last))
        thread = self._thread(task, row.cpu)
        for several, is_live in ((live, True), (hits - live, False)):
            if several:
                facts = Facts(last, row.cpu, thread, row.xfeatures, is_live, evidence.use)
                totals.add_several(task, path, facts, several, first)
        self._tracer.seq += hits
        self._rows[number] = (row.hits, counted_live + live)

    def _evidence(self, task: Task, flags: Flag, hit: int) -> Evidence:
        """Return what is known about `task`, with what the kernel's own flag says."""
        known = self._tracer.totals.known(task)
        if flags & Flag.KTHREAD:
            return known.with_(Observation(Basis.KERNEL, 0, flag="a kernel thread"))
        if flags & Flag.ACTIVE:
            flag = self._tracer.model.state_flag
            return known.with_(Observation(Basis.STATE, 1, hit, flag))
        return known

    def _backtrace(self, caller: int) -> tuple[str, ...]:
        return (self._name_of(caller),) if self._tracer.options.backtrace else ()

    def _thread(self, task: Task, cpu: int) -> int | None:
        stub = self._tracer.model.kernel.target.stub
        return self.threads.get(task.pid if stub.threads_are_tasks else cpu + 1)


def _task(who: Who, flags: Flag) -> Task:
    return Task(who.task, who.pid, who.tgid, who.comm, bool(flags & Flag.KTHREAD))
