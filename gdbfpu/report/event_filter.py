# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose hits of an event file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from gdbfpu.report.event_hits import EventHit
from gdbfpu.text.names import named

__all__ = ("HitFilter",)


@dataclass
class HitFilter:
    """Which hits count. A field that is empty, 0 or None lets all pass.

    - `pids`, `comms` (names or globs), `functions`, `cpus`: the hit's is one of them.
    - `components`: a mask (u64); the hit's state has any of them in use.
    - `since`, `until`: seconds after the first hit of the file; a hit at `until` does not pass.
    """

    pids: Collection[int] = ()
    comms: Collection[str] = ()
    functions: Collection[str] = ()
    cpus: Collection[int] = ()
    components: int = 0
    since: float = 0.0
    until: float | None = None
    _first: int | None = field(default=None, init=False)

    def restart(self) -> None:
        """Begin with another file, whose times count from its own first hit."""
        self._first = None

    def wants(self, hit: EventHit) -> bool:
        """Return whether `hit` passes. Ask of every hit of a file, in order."""
        task, path, facts = hit
        if self._first is None:
            self._first = facts.time_ns
        after = (facts.time_ns - self._first) / 1e9
        return (
            (not self.since or after >= self.since)  # a clock set back makes it negative
            and (self.until is None or after < self.until)
            and (not self.pids or task.pid in self.pids)
            and (not self.functions or path[0] in self.functions)
            and (not self.cpus or facts.cpu in self.cpus)
            and (not self.components or bool(facts.mask & self.components))
            and (not self.comms or any(named(task.comm, name) for name in self.comms))
        )
