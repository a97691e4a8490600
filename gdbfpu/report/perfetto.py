# SPDX-License-Identifier: GPL-2.0-or-later
"""Write hits as a trace for Perfetto and chrome://tracing.

The form is the Trace Event Format's JSON object: https://github.com/catapult-project/catapult.
There is a track for each CPU, one for each task, and a counter for each component. A hit is a slice
on the track of its CPU and on that of its task. A hit has no duration; it is drawn 1 us long.
"""

from __future__ import annotations

import json
from typing import Any, Callable

from gdbfpu.kernel.tasks import Task
from gdbfpu.report.event_hits import EventHit
from gdbfpu.report.event_lines import Header
from gdbfpu.report.event_values import S32, U64, number, string
from gdbfpu.trace.totals import MAX_ROWS
from gdbfpu.xsave import features

__all__ = ("Perfetto",)

_CPUS = S32 - 1  # the number of the process that stands for the CPUs; no pid is as large
_LONG = 1  # us that a hit is drawn long


class Perfetto:
    """Writes a trace with `put`, which takes lines without their end."""

    def __init__(self, put: Callable[[str], object], header: Header) -> None:
        about = {"kernel": header.kernel, "switching": header.switching}
        put(f'{{"displayTimeUnit":"ms","otherData":{json.dumps(about)},"traceEvents":[')
        put(_named("process_name", _CPUS, 0, "CPUs"))
        self._put = put
        self._first: int | None = None
        self._cpus: set[int] = set()
        self._tasks: dict[tuple[int, int, str], str] = {}  # the names of slices on CPUs
        self._slices: dict[Any, tuple[str, str]] = {}  # the names of functions, the arguments
        self._states: dict[int, int] = {}  # by task_struct, XSTATE_BV at its last hit
        self._users: dict[str, int] = {}  # by component, in how many tasks' headers it is

    def add(self, event: dict[str, Any], hit: EventHit) -> None:
        """Write the slices of `hit`, read from `event`; raise CorruptState or KeyError."""
        task, path, facts = hit
        seq = number("seq", event["seq"], U64)
        caller = number("caller_pid", event["caller_pid"], S32)
        caller_comm = string("caller_comm", event["caller_comm"])
        if self._first is None:
            self._first = facts.time_ns
        if facts.cpu not in self._cpus:
            self._cpus.add(facts.cpu)
            self._put("," + _named("thread_name", _CPUS, facts.cpu, f"CPU {facts.cpu}"))
        name = self._task(task)
        time = f'"ts":{(facts.time_ns - self._first) / 1000:.3f},"dur":{_LONG},"ph":"X"'
        function, said = self._said(path, facts.mask, facts.live)
        says = f'"args":{{"hit":{seq},{said}'
        self._put(
            f',{{"name":{name},"pid":{_CPUS},"tid":{facts.cpu},{time},{says}\n'
            f',{{"name":{function},"pid":{task.tgid},"tid":{task.pid},{time},{says}'
        )
        if caller != task.pid:
            self._flow(caller_comm, task, seq, caller, time)
        if self._states.get(task.address) != facts.mask:
            self._count(task.address, facts.mask, time)

    def end(self) -> None:
        """Write the end of the trace."""
        self._put("]}")

    def _task(self, task: Task) -> str:
        """Return the name of a slice of `task` on a CPU, as JSON; name its track if it is new."""
        key = task.pid, task.tgid, task.comm
        name = self._tasks.get(key)
        if name is None:
            if len(self._tasks) >= MAX_ROWS:
                self._tasks.clear()
            name = self._tasks[key] = json.dumps(f"{task.comm} ({task.pid})")
            self._put("," + _named("thread_name", task.tgid, task.pid, task.comm))
            if task.pid == task.tgid:
                self._put("," + _named("process_name", task.tgid, task.pid, task.comm))
        return name

    def _said(self, path: tuple[str, ...], mask: int, live: bool) -> tuple[str, str]:
        """Return a function's name as JSON, and the arguments of a slice after the hit's number."""
        key = path, mask, live
        said = self._slices.get(key)
        if said is None:
            if len(self._slices) >= MAX_ROWS:
                self._slices.clear()
            arguments = {
                "function": path[0],
                "callers": " < ".join(path[1:]),
                "components": features.describe(mask),
                "registers": "in the CPU" if live else "in memory",
            }
            said = self._slices[key] = json.dumps(path[0]), json.dumps(arguments)[1:] + "}"
        return said

    def _flow(self, comm: str, task: Task, seq: int, caller: int, time: str) -> None:
        """Write an arrow from the running task, a tracer say, to the one whose state it reads."""
        name = json.dumps(f"{comm[:64]} reads {task.comm} ({task.pid})")
        start, end = time.replace('"X"', '"s"'), time.replace('"X"', '"f","bp":"e"')
        self._put(
            f',{{"name":{name},"pid":{caller},"tid":{caller},{time},"args":{{"hit":{seq}}}}}\n'
            f',{{"name":"reads","cat":"reads","id":{seq},"pid":{caller},"tid":{caller},{start}}}\n'
            f',{{"name":"reads","cat":"reads","id":{seq},"pid":{task.tgid},"tid":{task.pid},{end}}}'
        )

    def _count(self, address: int, mask: int, time: str) -> None:
        """Write in how many tasks' headers each component is, now that `mask` is at `address`."""
        if len(self._states) >= MAX_ROWS:
            self._states.clear()
            self._users = dict.fromkeys(self._users, 0)
        before, self._states[address] = self._states.get(address, 0), mask
        for bit in features.bits(before ^ mask):
            name = features.component_name(bit)
            self._users[name] = self._users.get(name, 0) + (1 if mask >> bit & 1 else -1)
        self._put(
            f',{{"name":"tasks by component in XSTATE_BV","pid":{_CPUS},'
            f'{time.replace("X", "C")},"args":{json.dumps(self._users)}}}'
        )


def _named(what: str, process: int, thread: int, name: str) -> str:
    """Return the event that names a track."""
    return json.dumps(
        {"name": what, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}
    )
