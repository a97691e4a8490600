# SPDX-License-Identifier: GPL-2.0-or-later
"""The entries of a trace: a hit, the audit of a call, what a signal frame shows about its task.

Each entry has a line in the event file, adds something to the totals, and has text for a person.
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
from gdbfpu.trace.event_file import Hit
from gdbfpu.trace.hit_text import hit_lines
from gdbfpu.trace.totals import AuditFacts, Facts, Totals
from gdbfpu.trace.users import Frame

__all__ = ("Audited", "Caught", "Entry", "Learned", "audited")


@dataclass(frozen=True)
class Caught:
    """A hit of `probe` while the kernel is stopped there: its record, and what the record omits.

    `task` owns the FPU state, `caller` is the running task. `evidence` is what is known so far
    about whether `task` uses the FPU. `frame` is the signal frame that may tell more once the
    kernel has written it.
    """

    record: Hit
    probe: Probe
    task: Task
    caller: Task
    facts: Facts
    evidence: Evidence
    frame: Frame | None

    def to_json(self) -> dict[str, Any]:
        """Return the hit's object for a line of the event file."""
        return self.record.to_json()

    def lines(self, width: int) -> tuple[str, ...]:
        """Return the lines to print on a terminal of `width` columns (0: any)."""
        return hit_lines(self.record, width)

    def add_to(self, totals: Totals) -> None:
        """Add the hit to `totals`. A second call adds nothing; a ^C never adds half a hit."""
        totals.learn(self.task, self.evidence)
        totals.add(self.task, (self.record.function, *self.record.backtrace), self.facts)


@dataclass(frozen=True)
class Audited:
    """The audit's result for a call that `caller` made."""

    said: Returned
    caller: Task
    facts: AuditFacts

    def to_json(self) -> dict[str, Any]:
        """Return the audit's object for a line of the event file."""
        return returned_json(self.said)

    def lines(self, width: int) -> tuple[str, ...]:
        """Return the lines to print on a terminal of `width` columns (0: any)."""
        return tuple(Screen(width).wrapped(line, "  ") for line in returned_lines(self.said))

    def add_to(self, totals: Totals) -> None:
        """Add the audit to `totals`. A second call adds nothing; a ^C never adds half an audit."""
        totals.add_audit(totals.row(self.said.task), self.facts)


@dataclass(frozen=True)
class Learned:
    """What is known about whether a task uses the FPU, now that `caller` has written `frame`."""

    frame: Frame
    caller: Task
    evidence: Evidence

    def to_json(self) -> dict[str, Any]:
        """Return the answer's object for a line of the event file."""
        answer, why = self.evidence.use
        task = self.frame.task
        return {
            "use_of": self.frame.hit,
            "task": f"{task.address:#x}",
            "pid": task.pid,
            "uses_fpu": answer.to_json(),
            "why": why,
        }

    def lines(self, _width: int) -> tuple[str, ...]:
        """Return no lines: only a report shows this."""
        return ()

    def add_to(self, totals: Totals) -> None:
        """Add the answer to `totals`. A second call adds nothing."""
        totals.learn(self.frame.task, self.evidence)


def audited(said: Returned, caller: Task) -> Audited:
    """Return the entry for what an audit has `said` about a call that `caller` made."""
    rules = tuple(finding.rule for finding in said.findings)
    undecided = tuple(one.rule for one in said.undecided)
    return Audited(said, caller, AuditFacts(rules, undecided, said.cleaned))


Entry = Union[Caught, Audited, Learned]
"""Anything that has a line in the event file."""
