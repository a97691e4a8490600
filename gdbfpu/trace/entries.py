# SPDX-License-Identifier: GPL-2.0-or-later
"""What a trace records: a hit, what the audit of a call says, what a frame shows of its task.

Each has a line in the event file, something to add to the totals, and a text for a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

from gdbfpu.audit.record import returned_json, returned_lines
from gdbfpu.audit.watch import Returned
from gdbfpu.fpu.evidence import Evidence
from gdbfpu.kernel.tasks import Task
from gdbfpu.probes.catalogue import Probe
from gdbfpu.text.screen import Screen
from gdbfpu.trace.hit import Hit
from gdbfpu.trace.hit_text import hit_lines
from gdbfpu.trace.totals import AuditFacts, Facts, Totals
from gdbfpu.trace.users import Frame

__all__ = ("Audited", "Caught", "Entry", "Learned", "audited")


@dataclass(frozen=True)
class Caught:
    """A hit of `probe`, as long as the kernel stands there: its record, and what that leaves out.

    `task` is whose state it is, `caller` the task that runs. `evidence` is what is known by now
    of whether `task` uses the FPU, `frame` the frame that may tell more once it is written.
    """

    record: Hit
    probe: Probe
    task: Task
    caller: Task
    facts: Facts
    evidence: Evidence
    frame: Frame | None

    def to_json(self) -> dict[str, Any]:
        """Return the object of its line in the event file."""
        return self.record.to_json()

    def lines(self, width: int) -> tuple[str, ...]:
        """Return what a person sees of it on a terminal of `width` columns (0: any)."""
        return hit_lines(self.record, width)

    def add_to(self, totals: Totals) -> None:
        """Add it to `totals`, once however often; a ^C adds all of it or nothing."""
        totals.learn(self.task, self.evidence)
        totals.add(self.task, (self.record.function, *self.record.backtrace), self.facts)


@dataclass(frozen=True)
class Audited:
    """What the audit says of a call that `caller` made."""

    said: Returned
    caller: Task
    facts: AuditFacts

    def to_json(self) -> dict[str, Any]:
        """Return the object of its line in the event file."""
        return returned_json(self.said)

    def lines(self, width: int) -> tuple[str, ...]:
        """Return what a person sees of it on a terminal of `width` columns (0: any)."""
        return tuple(Screen(width).wrapped(line, "  ") for line in returned_lines(self.said))

    def add_to(self, totals: Totals) -> None:
        """Add it to `totals`, once however often; a ^C adds all of it or nothing."""
        totals.add_audit(totals.of(self.said.task), self.facts)


@dataclass(frozen=True)
class Learned:
    """What is known of whether a task uses the FPU, now that `caller` has written `frame`."""

    frame: Frame
    caller: Task
    evidence: Evidence

    def to_json(self) -> dict[str, Any]:
        """Return the object of its line in the event file."""
        answer, why = self.evidence.use
        task = self.frame.task
        return {
            "use_of": self.frame.of,
            "task": f"{task.address:#x}",
            "pid": task.pid,
            "uses_fpu": answer.to_json(),
            "why": why,
        }

    def lines(self, _width: int) -> tuple[str, ...]:
        """Return what a person sees of it: nothing before a report."""
        return ()

    def add_to(self, totals: Totals) -> None:
        """Add it to `totals`, once however often."""
        totals.learn(self.frame.task, self.evidence)


def audited(said: Returned, caller: Task) -> Audited:
    """Return what is to be recorded of what an audit has `said` of a call that `caller` made."""
    rules = tuple(finding.rule for finding in said.findings)
    undecided = tuple(one.rule for one in said.undecided)
    return Audited(said, caller, AuditFacts(rules, undecided, said.cleaned))


Entry = Union[Caught, Audited, Learned]
"""What the event file has a line for."""
