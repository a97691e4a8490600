# SPDX-License-Identifier: GPL-2.0-or-later
"""Does a task use the FPU? An answer, and what it rests on.

A task uses the FPU if its registers have held values of its own: anything but the state in which
every program begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from gdbfpu.xsave.features import describe

__all__ = ("ENOUGH", "Answer", "Basis", "Evidence", "Observation", "Use")

ENOUGH = 3
"""How many states of its own have to be initial before the answer is no."""


class Answer(Enum):
    """The three answers. The value is what tables show."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "?"

    def to_json(self) -> bool | None:
        """Return true, false, or None for unknown."""
        return {Answer.YES: True, Answer.NO: False}.get(self)


class Use(NamedTuple):
    """An answer, and what it rests on in a few words."""

    answer: Answer = Answer.UNKNOWN
    why: str = ""


class Basis(Enum):
    """What was looked at. The value is what event files have."""

    FRAME = "frame"
    """The frame that the kernel has just written for a signal."""
    MEMORY = "memory"
    """The task's image in memory, while no CPU had its registers."""
    REGISTERS = "registers"
    """The registers of the CPU that ran it, as the stub shows them."""
    HEADER = "header"
    """Bits of a header, where the CPU is seen to track use: no values that differ."""
    STATE = "state"
    """Lazy switching: whether the kernel gave the task a state, at its first FPU instruction."""
    KERNEL = "kernel"
    """A kernel thread has no user registers."""


_PLACES = {
    Basis.FRAME: "frame",
    Basis.MEMORY: "memory image",
    Basis.REGISTERS: "register set",
}


@dataclass(frozen=True)
class Observation:
    """One look at a state that was the task's own.

    `used` are the components (u64) that were not initial; of STATE any number but 0 for a state
    that was there. `hit` is the number of the hit at which it was seen, 0 outside a trace;
    `flag` what told of STATE; `blocked` the signals (u64) that the task blocked then; `switches`
    how often it had left a CPU, 0 where that does not matter.
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
            return f"{names} in use by the header{when}, which tracks use"
        return f"{names} values in {self.basis.value}{at}"


@dataclass(frozen=True)
class Evidence:
    """All that is known of one task. `with_` returns new evidence; nothing changes in place.

    `proof` is what the answer yes rests on: it stays. `initial` counts, by where they were seen,
    the states that were initial, `blocked` are the signals that were blocked in any of them, and
    `settled` tells that in none of them the task can have been in a signal handler. `absent` is
    what says that there is no state now, and that the answer is no.
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
        """Return the answer that this evidence is good for."""
        if self.proof is not None:
            return Answer.YES
        if self.absent is not None or (self.settled and self.count >= ENOUGH):
            return Answer.NO
        return Answer.UNKNOWN

    @property
    def why(self) -> str:
        """Return what the answer rests on, or what is missing for one."""
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
        """Return the answer and what it rests on."""
        return Use(self.answer, self.why)

    def with_(self, seen: Observation) -> Evidence:
        """Return this evidence and what was `seen`; a proof stays as it is."""
        if self.proof is not None:
            return self
        if seen.used:
            return replace(self, proof=seen, absent=None)
        if seen.basis in (Basis.STATE, Basis.KERNEL):
            return replace(self, absent=seen)
        if seen.switches and seen.switches == self.switches:  # that very state was counted
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
        """Return whether it is time to ask if the task was in a handler: `settle` or `reject`."""
        return self.answer is Answer.UNKNOWN and self.count >= ENOUGH and not self.settled

    def settle(self) -> Evidence:
        """Return evidence of states that were the program's, none a signal handler's."""
        return replace(self, settled=True)

    def reject(self) -> Evidence:
        """Return evidence without the initial states: they may be a signal handler's."""
        return replace(self, initial={}, blocked=0, reason="it may have been in a signal handler")

    def without(self, reason: str) -> Evidence:
        """Return this evidence after a look that showed nothing, for `reason`."""
        return replace(self, absent=None, reason=reason)
