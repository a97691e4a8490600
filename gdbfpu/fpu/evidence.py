# SPDX-License-Identifier: GPL-2.0-or-later
"""Does a task use the FPU? The answer, and the reason for it.

A task uses the FPU if its registers have held anything but the initial state, in which every
program starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from gdbfpu.xsave.features import describe

__all__ = ("ENOUGH", "Answer", "Basis", "Evidence", "Observation", "Use")

ENOUGH = 3
"""The answer is no only after this many states of the task were seen and were all initial."""


class Answer(Enum):
    """The three answers. Tables show the value."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "?"

    def to_json(self) -> bool | None:
        """Return true, false, or None for unknown."""
        return {Answer.YES: True, Answer.NO: False}.get(self)


class Use(NamedTuple):
    """An answer, and the reason in a few words."""

    answer: Answer = Answer.UNKNOWN
    why: str = ""


class Basis(Enum):
    """What a look examines. Reasons in reports and event files contain the value."""

    FRAME = "frame"
    """The frame that the kernel has just written for a signal."""
    MEMORY = "memory"
    """The task's image in memory, while no CPU had its registers."""
    REGISTERS = "registers"
    """The registers of the CPU that ran the task, as the stub shows them."""
    HEADER = "header"
    """Header bits that are set although all values are initial.

    They count only for components whose use the CPU is known to track; see `Looks`.
    """
    STATE = "state"
    """Lazy switching: whether the kernel gave the task a state at its first FPU instruction."""
    KERNEL = "kernel"
    """A kernel thread has no user registers."""


_PLACES = {
    Basis.FRAME: "frame",
    Basis.MEMORY: "memory image",
    Basis.REGISTERS: "register set",
}


@dataclass(frozen=True)
class Observation:
    """One look at a state that was surely the task's own.

    - `used`: mask (u64) of the components that were not initial. With STATE, 0 means that the
      task has no state, any other number that it has one.
    - `hit`: the number of the hit at which the state was seen, 0 outside a trace.
    - `flag`: with STATE, the name of the flag or member that was read.
    - `blocked`: the signals (u64) that the task blocked then.
    - `switches`: how often the task had left a CPU by then, 0 where that does not matter.
    """

    basis: Basis
    used: int
    hit: int = 0
    flag: str = ""
    blocked: int = 0
    switches: int = 0

    @property
    def why(self) -> str:
        """Return what was seen, in a few words."""
        when = f" of hit {self.hit}" if self.hit else ""
        at = f" at hit {self.hit}" if self.hit else ""
        names = describe(self.used)
        if self.basis is Basis.STATE:
            return f"{self.flag}{at}"
        if self.basis is Basis.FRAME:
            return f"{names} values in the frame{when}"
        if self.basis is Basis.HEADER:
            return f"{names} marked in use by the CPU in the header{when}"
        return f"{names} values in {self.basis.value}{at}"


@dataclass(frozen=True)
class Evidence:
    """All that is known about one task. `with_` returns new evidence; nothing changes in place.

    - `proof`: the observation that proves the answer yes. It stays.
    - `initial`: how many states were initial, by where they were seen.
    - `blocked`: the signals that were blocked in any of those states.
    - `settled`: none of those states belongs to a signal handler.
    - `switches`: how often the task had left a CPU when it was last seen.
    - `absent`: the observation that the task has no state now, so the answer is no.
    - `reason`: why the last look showed nothing.
    """

    proof: Observation | None = None
    initial: Mapping[Basis, int] = field(default_factory=dict)
    blocked: int = 0
    settled: bool = False
    switches: int = 0
    absent: Observation | None = None
    reason: str = ""

    @property
    def count(self) -> int:
        """Return how many states were initial."""
        return sum(self.initial.values())

    @property
    def answer(self) -> Answer:
        """Return the answer that this evidence supports."""
        if self.proof is not None:
            return Answer.YES
        if self.absent is not None or (self.settled and self.count >= ENOUGH):
            return Answer.NO
        return Answer.UNKNOWN

    @property
    def why(self) -> str:
        """Return the reason for the answer, or why it is not known yet."""
        if self.proof is not None:
            return self.proof.why
        if self.absent is not None:
            return self.absent.flag
        seen = [f"{n} {_PLACES[basis]}{'s' * (n != 1)}" for basis, n in self.initial.items()]
        words = f"initial in {' and '.join(seen)}" if seen else ""
        if self.answer is Answer.NO:
            return words
        return "; ".join(part for part in (words, self.reason) if part) or "not seen yet"

    @property
    def use(self) -> Use:
        """Return the answer and the reason for it."""
        return Use(self.answer, self.why)

    def with_(self, seen: Observation) -> Evidence:
        """Return this evidence with `seen` added. A proof stays as it is."""
        if self.proof is not None:
            return self
        if seen.used:
            return replace(self, proof=seen, absent=None)
        if seen.basis in (Basis.STATE, Basis.KERNEL):
            return replace(self, absent=seen)
        if seen.switches and seen.switches == self.switches:  # this state was counted already
            return self
        initial = {**self.initial, seen.basis: self.initial.get(seen.basis, 0) + 1}
        return replace(
            self,
            initial=initial,
            blocked=self.blocked | seen.blocked,
            switches=seen.switches or self.switches,
            reason="",
        )

    def wanting(self) -> bool:
        """Return whether enough states are initial, but they may belong to a signal handler.

        The caller then checks this, and calls `settle` or `reject`.
        """
        return self.answer is Answer.UNKNOWN and self.count >= ENOUGH and not self.settled

    def settle(self) -> Evidence:
        """Return this evidence, marked as free of states of signal handlers."""
        return replace(self, settled=True)

    def reject(self) -> Evidence:
        """Return this evidence without the initial states: they may belong to a signal handler."""
        return replace(self, initial={}, blocked=0, reason="it may have been in a signal handler")

    def without(self, reason: str) -> Evidence:
        """Return this evidence after a look that showed nothing because of `reason`."""
        return replace(self, absent=None, reason=reason)
