# SPDX-License-Identifier: GPL-2.0-or-later
"""Watch calls from entry to return, and audit what they did.

The catalogue says which function does which job in this kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gdbfpu.audit.engine import apply, sort
from gdbfpu.audit.finding import Finding, Result, Undecided
from gdbfpu.audit.frame_view import FrameView, user_mask, user_size
from gdbfpu.audit.rule import Scope
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.audit.stale import stale_components
from gdbfpu.errors import MemoryFault
from gdbfpu.fpu.model import FpuModel
from gdbfpu.fpu.xstate import MAX_IMAGE
from gdbfpu.kernel.bounded import remember
from gdbfpu.kernel.pages import Pages
from gdbfpu.kernel.tasks import Task
from gdbfpu.kernel.usermem import UserMemory
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.jobs import Job
from gdbfpu.xsave.area import EXTENDED_OFFSET, Span, standard_spans
from gdbfpu.xsave.sigframe import FREGS_SIZE, MAGIC2_SIZE
from gdbfpu.xsave.sparse import read_spans

__all__ = ("MAX_CALLS", "Returned", "Watch", "job_of")

MAX_CALLS = 4096
"""How many open calls to keep at most. Beyond this the oldest is dropped, to bound memory."""

_UNREAD = "neither the stub nor the task's page tables give access"
_PAST = 64  # bytes after a frame, which must not change

_SCOPES = {
    Job.SAVE_FRAME: Scope.FRAME,
    Job.SANITIZE: Scope.SANITIZE,
    Job.FORK: Scope.FORK,
    Job.EXEC: Scope.EXEC,
    Job.SIGRETURN: Scope.SIGRETURN,
    Job.FAULT: Scope.FAULT,
}
"""The jobs that are audited, and the scope of their rules."""


def job_of(probe: Probe) -> Job | None:
    """Return the job of `probe`'s function if its calls are audited, else None.

    Calls are audited when they return. Only calls for `Job.FAULT` are audited when they begin.
    """
    return probe.job if probe.job in _SCOPES and not probe.on_copy else None


@dataclass(frozen=True)
class Returned:
    """The audit of one call.

    `hit` is the number of the hit. `cleaned` has, for each component, the number of bytes that
    were stale on entry and are clean at return. `left` has, for each component, the number of
    bytes that are still stale.
    """

    hit: int
    function: str
    task: Task
    findings: tuple[Finding, ...]
    undecided: tuple[Undecided, ...]
    cleaned: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Call:
    """An open call: the number of its hit, the tasks that it is about and that make it.

    `frame`, `memory` and `stale` are the state at entry.
    """

    hit: int
    probe: Probe
    task: Task
    caller: Task
    frame: FrameView | None = None
    memory: UserMemory | None = None
    stale: Mapping[str, int] = field(default_factory=dict)


class Watch:
    """The open calls, by the task that makes them."""

    def __init__(self, model: FpuModel) -> None:
        self._model = model
        self._pages = Pages(model.kernel)
        self._calls: dict[tuple[int, str], _Call] = {}
        self._callers: dict[int, int] = {}  # by a task's pid, where it is

    def enter(self, probe: Probe, hit: int, task: Task, caller: Task, live_on: int | None) -> None:
        """Note that `caller` enters `probe`'s function for `task`; `hit` is the hit's number.

        `live_on` is the CPU that has the task's registers, None if they are in memory.
        """
        job = job_of(probe)
        call = _Call(hit, probe, task, caller)
        if job is Job.SAVE_FRAME:
            memory = UserMemory(self._model.kernel, task.address, self._pages)
            call = replace(call, frame=self._frame_at_entry(task, live_on, memory), memory=memory)
        elif job is Job.SANITIZE:
            stale = _stale_bytes(Snapshot(self._model, walk=False), task)
            call = replace(call, stale=stale)
        self.forget(probe.function, caller)  # the newest is last
        if len(self._calls) >= MAX_CALLS:
            del self._calls[next(iter(self._calls))]
        self._calls[caller.address, probe.function] = call
        machine = self._model.kernel.stopped()
        if machine.stub.threads_are_tasks:
            remember(self._callers, machine.stopped_thread().lwp, caller.address)

    def leave(self, function: str, caller: Task) -> Returned | None:
        """Return the audit of the call of `function` from which `caller` returns.

        Returns None if we did not see the call begin. The call is kept until `forget`.
        """
        call = self._calls.get((caller.address, function))
        if call is None:
            return None
        job = call.probe.job
        if job is Job.SANITIZE:
            return self._sanitized(call)
        snapshot = Snapshot(self._model, walk=False)
        if job is Job.SAVE_FRAME:
            results = self._frame(snapshot, call)
        else:
            results = apply(_SCOPES[job], call.task, snapshot, snapshot.view)
        return _returned(call, results)

    def forget(self, function: str, caller: Task) -> None:
        """Drop the open call."""
        self._calls.pop((caller.address, function), None)

    def caller(self, function: str) -> Task | None:
        """Return the task of the stopped thread, as it was when its open call of `function` began.

        Over KGDB a thread is a task, and a task cannot end before it returns: nothing is read.
        Returns None if no open call tells.
        """
        address = self._callers.get(self._model.kernel.stopped().stopped_thread().lwp, 0)
        call = self._calls.get((address, function))
        return call.caller if call is not None else None

    def fault(self, probe: Probe, hit: int, task: Task) -> Returned:
        """Return the audit of a call of `probe`'s function.

        The call itself is the defect: the CPU refused to load a state.
        """
        snapshot = Snapshot(self._model, walk=False)
        call = _Call(hit, probe, task, task)
        return _returned(call, apply(Scope.FAULT, task, snapshot, snapshot.view))

    def _frame_at_entry(self, task: Task, live_on: int | None, memory: UserMemory) -> FrameView:
        """Return the frame before it is written: its address and size, and the state to write.

        Only what is used is read: at a hit, the kernel waits for us.
        """
        machine = self._model.kernel.stopped()
        address, size = (machine.register(name) or 0 for name in ("rdi", "rdx"))
        size = min(size & 0xFFFFFFFF, MAX_IMAGE)  # the argument is an int
        snapshot = Snapshot(self._model, walk=False)
        if live_on is not None and not snapshot.untouched(task.address, live_on):
            live_on = None
        fields = snapshot.fpstate(self._model.image_address(self._model.fpu_of(task.address)))
        try:
            past = memory.read(address + size, _PAST)
        except MemoryFault:
            past = b""
        return FrameView(
            task=task,
            address=address,
            image=bytes(size),
            before=snapshot.image(task) if live_on is None else b"",
            registers=machine.fpu_registers(live_on) if live_on is not None else None,
            past=(past, past),
            size=fields.get("fpstate.user_size", 0),
            mask=fields.get("fpstate.user_xfeatures", 0),
        )

    def _frame(self, snapshot: Snapshot, call: _Call) -> list[Result]:
        entry, memory = call.frame, call.memory
        if entry is None or memory is None or self._model.save_failed():
            return []
        memory.stopped_again()
        size, past = len(entry.image), entry.past[0] if entry.past else b""
        parts = (*_frame_parts(snapshot, entry), Span(0, size, len(past)))
        try:
            image = read_spans(memory.read, entry.address, size + len(past), parts)
            view = replace(entry, image=image[:size], past=(past, image[size:]))
        except MemoryFault:
            view = replace(entry, image=b"", unread=_UNREAD)
        return apply(Scope.FRAME, call.task, snapshot, lambda _: view)

    def _sanitized(self, call: _Call) -> Returned:
        """Return how many bytes the call cleaned. Bytes that are still stale become findings."""
        snapshot = Snapshot(self._model, walk=False)
        left = _stale_bytes(snapshot, call.task)
        cleaned = {
            name: count - left.get(name, 0)
            for name, count in call.stale.items()
            if count > left.get(name, 0)
        }
        results = apply(Scope.SANITIZE, call.task, snapshot, snapshot.view) if left else []
        return replace(_returned(call, results), cleaned=cleaned, left=left)


def _frame_parts(snapshot: Snapshot, frame: FrameView) -> tuple[Span, ...]:
    """Return the parts of `frame` to read: all but the gaps between them."""
    size, tables = len(frame.image), snapshot.model.xstate.tables
    base = size - user_size(snapshot, frame) - MAGIC2_SIZE
    if base not in (0, FREGS_SIZE):
        return (Span(0, 0, size),)
    parts = standard_spans(user_mask(snapshot, frame), tables.offsets, tables.sizes)
    spans = [Span(part.number, base + part.offset, part.size) for part in parts]
    return (
        Span(0, 0, base + EXTENDED_OFFSET),
        *spans,
        Span(0, size - MAGIC2_SIZE, MAGIC2_SIZE),
    )


def _stale_bytes(snapshot: Snapshot, task: Task) -> dict[str, int]:
    """Return the number of stale bytes of `task` by component."""
    found = stale_components(snapshot, snapshot.view(task))
    return {component.name: len(component.places) for component in found}


def _returned(call: _Call, results: list[Result]) -> Returned:
    return Returned(
        call.hit,
        call.probe.function,
        call.task,
        sort(result for result in results if isinstance(result, Finding)),
        tuple(result for result in results if isinstance(result, Undecided)),
    )
