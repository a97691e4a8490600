# SPDX-License-Identifier: GPL-2.0-or-later
"""Who uses the FPU, as hits show it: which hits are looked at, and which frames are waited for."""

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
"""The most frames that are waited for; those of calls that never return are given up."""

_FRAME_ARGUMENT = "rsi"  # buf_fx, where the FXSAVE or XSAVE image of a frame is written


def waits_for_frames(probe: Probe, looks: Looks) -> bool:
    """Return whether a call of `probe` may have to be waited for until its frame is written.

    Under lazy switching a hit is enough.
    """
    return probe.job is Job.SAVE_FRAME and looks.model.switching == "eager"


@dataclass(frozen=True)
class Frame:
    """A frame that is being written: of which hit, whose, and at which user address."""

    of: int
    task: Task
    address: int


class Users:
    """Looks at the tasks that are hit, as long as it is open whether they use the FPU.

    A look costs packets, and a frame a stop of its own. So a task is looked at at its first hits,
    and later, in case that it begins to use the FPU, at hits 4, 8, 16 ...; once the answer is yes
    no more.
    """

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._frames: dict[int, Frame] = {}

    def at_hit(
        self, known: Evidence, count: int, probe: Probe, task: Task, live_on: int | None, hit: int
    ) -> tuple[Evidence, Frame | None]:
        """Return what is known of `task` after hit number `hit`, and the frame to wait for.

        `count` is how many hits it had with this one, `live_on` the CPU that has its registers,
        None where they are in memory.
        """
        if known.answer is Answer.YES or not _due(count):
            return known, None
        with suppress(CorruptState, MemoryFault):  # the hit itself could be read
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
        ):  # at fork, say, memory is not its own yet
            return None
        if live_on is None:
            return self._looks.memory(task, hit)
        return self._looks.registers(task, live_on, hit)

    def wait(self, caller: Task, frame: Frame) -> None:
        """Wait for the `frame` that `caller` is about to write."""
        self.forget(caller)  # the newest is last
        if len(self._frames) >= MAX_FRAMES:
            del self._frames[next(iter(self._frames))]
        self._frames[caller.address] = frame

    @property
    def waiting(self) -> bool:
        """Return whether a frame is waited for."""
        return bool(self._frames)

    def frame_of(self, caller: Task) -> Frame | None:
        """Return the frame that `caller` has written, None if it was not waited for."""
        return self._frames.get(caller.address)

    def written(self, known: Evidence, frame: Frame) -> Evidence:
        """Return what is known of the task of `frame`, which is written."""
        if self._looks.model.save_failed():
            return known
        try:
            seen = self._looks.frame(frame.task, frame.address, frame.of)
            return self._looks.add(known, seen, frame.task)
        except (CorruptState, MemoryFault):
            return known.without("its signal frames cannot be read")

    def forget(self, caller: Task) -> None:
        """Wait no more for the frame of `caller`."""
        self._frames.pop(caller.address, None)


def _due(count: int) -> bool:
    return count <= ENOUGH or not count & (count - 1)
