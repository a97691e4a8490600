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
_MAX_COMM = 64


class Perfetto:
    """Writes a trace with `put`, which takes lines without their end."""

    def __init__(self, put: Callable[[str], object], header: Header) -> None:
        about = {"kernel": header.kernel, "switching": header.switching}
        put(f'{{"displayTimeUnit":"ms","otherData":{_json(about)},"traceEvents":[')
        put(_named("process_name", _CPUS, 0, "CPUs"))
        self._put = put
        self._first: int | None = None
        self._cpus: set[int] = set()
        self._tasks: set[tuple[int, int, str]] = set()  # whose tracks have names
        self._tracks: dict[Any, tuple[str, str]] = {}  # how slices begin, and which track they have
        self._slices: dict[Any, tuple[str, str]] = {}  # the names of functions, the arguments
        self._states: dict[int, int] = {}  # by task_struct, XSTATE_BV at its last hit
        self._users: dict[int, int] = {}  # by component, in how many tasks' headers it is

    def add(self, event: dict[str, Any], hit: EventHit) -> None:
        """Write the slices of `hit`, read from `event`; raise CorruptState or KeyError."""
        task, path, facts = hit
        time_ns, cpu, _, mask, live, _ = facts
        seq, caller = number("seq", event["seq"], U64), event["caller_pid"]
        reader = "" if caller == task.pid else _reader(event)
        if self._first is None:
            self._first = time_ns
        where, what = (task.pid, task.tgid, task.comm, cpu), (path, mask, live)
        on_cpu, of_task = self._tracks.get(where) or self._track(where)
        function, said = self._slices.get(what) or self._slice(what)
        time = f'"ts":{(time_ns - self._first) / 1000:.3f}'
        says = f'{time},"dur":{_LONG},"ph":"X","args":{{"hit":{seq},{said}'
        self._put(f'{on_cpu}{says}\n,{{"name":{function},{of_task}{says}')
        if reader:
            self._flow(reader, task, seq, caller, time)
        if self._states.get(task.address) != mask:
            self._count(task.address, mask, time)

    def end(self) -> None:
        """Write the end of the trace."""
        self._put("]}")

    def _track(self, where: tuple[int, int, str, int]) -> tuple[str, str]:
        """Return how a slice begins on the track of its CPU, and the number of its task's track.

        Name these tracks if they are new.
        """
        pid, tgid, comm, cpu = where
        self._name_tracks(pid, tgid, comm, cpu)
        if len(self._tracks) >= MAX_ROWS:
            self._tracks.clear()
        begin = f',{{"name":{_json(f"{comm} ({pid})")},"pid":{_CPUS},"tid":{cpu},'
        track = self._tracks[where] = begin, f'"pid":{tgid},"tid":{pid},'
        return track

    def _slice(self, what: tuple[tuple[str, ...], int, bool]) -> tuple[str, str]:
        """Return a function's name as JSON, and the arguments of a slice after the hit's number."""
        path, mask, live = what
        if len(self._slices) >= MAX_ROWS:
            self._slices.clear()
        arguments = {
            "function": path[0],
            "callers": " < ".join(path[1:]),
            "components": features.describe(mask),
            "registers": "in the CPU" if live else "in memory",
        }
        said = self._slices[what] = _json(path[0]), _json(arguments)[1:] + "}"
        return said

    def _name_tracks(self, pid: int, tgid: int, comm: str, cpu: int) -> None:
        if cpu not in self._cpus:
            if len(self._cpus) >= MAX_ROWS:
                self._cpus.clear()
            self._cpus.add(cpu)
            self._put("," + _named("thread_name", _CPUS, cpu, f"CPU {cpu}"))
        if (pid, tgid, comm) in self._tasks:
            return
        if len(self._tasks) >= MAX_ROWS:
            self._tasks.clear()
        self._tasks.add((pid, tgid, comm))
        self._put("," + _named("thread_name", tgid, pid, comm))
        if pid == tgid:
            self._put("," + _named("process_name", tgid, pid, comm))

    def _flow(self, comm: str, task: Task, seq: int, caller: int, time: str) -> None:
        """Write an arrow from the running task, a tracer say, to the one whose state it reads."""
        name = _json(f"{comm} reads {task.comm} ({task.pid})")
        here, there = f'"pid":{caller},"tid":{caller}', f'"pid":{task.tgid},"tid":{task.pid}'
        arrow = f',{{"name":"reads","cat":"reads","id":{seq},{time}'
        self._put(
            f',{{"name":{name},{here},{time},"dur":{_LONG},"ph":"X","args":{{"hit":{seq}}}}}\n'
            f'{arrow},{here},"ph":"s"}}\n{arrow},{there},"ph":"f","bp":"e"}}'
        )

    def _count(self, address: int, mask: int, time: str) -> None:
        """Write in how many tasks' headers each component is, now that `mask` is at `address`."""
        if len(self._states) >= MAX_ROWS:
            self._states.clear()
            self._users = dict.fromkeys(self._users, 0)
        before, self._states[address] = self._states.get(address, 0), mask
        for bit in features.bits(before ^ mask):
            users = self._users.get(bit, 0) + (1 if mask >> bit & 1 else -1)
            self._users[bit] = users
            name = features.component_name(bit)
            self._put(
                f',{{"name":"{name} in XSTATE_BV","pid":{_CPUS},"ph":"C",{time},'
                f'"args":{{"tasks":{users}}}}}'
            )


def _reader(event: dict[str, Any]) -> str:
    """Return the name of the running task, which is not the one whose state it reads."""
    number("caller_pid", event["caller_pid"], S32)
    return string("caller_comm", event["caller_comm"])[:_MAX_COMM] or "?"


def _json(value: Any) -> str:
    """Return `value` as JSON, with a backslash as its number.

    Perfetto's page (version 52) fails on a name that ends in an escaped backslash.
    """
    return json.dumps(value).replace(r"\\", r"\u005c")


def _named(what: str, process: int, thread: int, name: str) -> str:
    """Return the event that names a track."""
    return _json({"name": what, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}})
