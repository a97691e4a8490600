# SPDX-License-Identifier: GPL-2.0-or-later
"""Learn from hits who uses the FPU: at which hits to look, and which signal frames to wait for."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from gdbfpu.errors import CorruptState, MemoryFault
from gdbfpu.fpu.evidence import ENOUGH, Answer, Basis, Evidence, Observation
from gdbfpu.fpu.looks import Looks
from gdbfpu.kernel.tasks import Task
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.jobs import Job

__all__ = ("MAX_FRAMES", "Frame", "Users", "waits_for_frames")

MAX_FRAMES = 4096
"""The most frames to wait for. The oldest are dropped first, since some calls never return."""

_FRAME_ARGUMENT = "rsi"  # buf_fx, where the FXSAVE or XSAVE image of a frame is written


def waits_for_frames(probe: Probe, looks: Looks) -> bool:
    """Return whether a hit of `probe` may need the frame that the call writes.

    Under lazy switching the hit alone is enough.
    """
    return probe.job is Job.SAVE_FRAME and looks.model.switching == "eager"


@dataclass(frozen=True)
class Frame:
    """A signal frame that the kernel is writing: the hit's number, the task, the user address."""

    hit: int
    task: Task
    address: int


class Users:
    """Looks at a task at its hits until we know that the task uses the FPU.

    A look costs packets, and a frame costs a stop of its own. So we look at a task at its first
    hits, and then only at hits 4, 8, 16 ..., in case the task begins to use the FPU. Once the
    answer is yes, we look no more.
    """

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._frames: dict[int, Frame] = {}

    def at_hit(
        self, known: Evidence, count: int, probe: Probe, task: Task, live_on: int | None, hit: int
    ) -> tuple[Evidence, Frame | None]:
        """Return what is known about `task` after hit number `hit`, and the frame to wait for.

        `count` is the number of the task's hits, this one included. `live_on` is the CPU that has
        the task's registers, None if they are in memory.
        """
        if known.answer is Answer.YES or not _due(count):
            return known, None
        with suppress(CorruptState, MemoryFault):  # the hit itself was read: record it anyway
            seen = self._look(probe, task, live_on, hit)
            if seen is not None:
                return self._looks.add(known, seen, task), None
        if live_on is None or not waits_for_frames(probe, self._looks):
            return known, None
        address = self._looks.model.kernel.stopped().register(_FRAME_ARGUMENT)
        return known, Frame(hit, task, address) if address else None

    def _look(self, probe: Probe, task: Task, live_on: int | None, hit: int) -> Observation | None:
        if task.kthread:
            return Observation(Basis.KERNEL, 0, flag="a kernel thread")
        if self._looks.model.switching == "lazy":
            return self._looks.active(task, hit)
        if probe.job not in (
            Job.SAVE_FRAME,
            Job.SANITIZE,
        ):  # elsewhere, as at fork, memory may not hold the task's own state yet
            return None
        if live_on is None:
            return self._looks.memory(task, hit)
        return self._looks.registers(task, live_on, hit)

    def wait(self, caller: Task, frame: Frame) -> None:
        """Wait for the `frame` that `caller` is about to write."""
        self.forget(caller)  # so that the newest is last
        if len(self._frames) >= MAX_FRAMES:
            del self._frames[next(iter(self._frames))]
        self._frames[caller.address] = frame

    @property
    def waiting(self) -> bool:
        """Return whether we wait for any frame."""
        return bool(self._frames)

    def frame_of(self, caller: Task) -> Frame | None:
        """Return the frame that `caller` has written, None if nothing waits for it."""
        return self._frames.get(caller.address)

    def written(self, known: Evidence, frame: Frame) -> Evidence:
        """Return what is known about the task of `frame`, now that the frame is written."""
        if self._looks.model.save_failed():
            return known
        try:
            seen = self._looks.frame(frame.task, frame.address, frame.hit)
            return self._looks.add(known, seen, frame.task)
        except (CorruptState, MemoryFault):
            return known.without("its signal frames cannot be read")

    def forget(self, caller: Task) -> None:
        """Stop waiting for the frame of `caller`."""
        self._frames.pop(caller.address, None)


def _due(count: int) -> bool:
    return count <= ENOUGH or not count & (count - 1)
