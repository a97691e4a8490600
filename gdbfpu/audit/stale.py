# SPDX-License-Identifier: GPL-2.0-or-later
"""Find stale components: old registers behind a cleared header bit, and whose registers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gdbfpu.audit.finding import Severity, name_of
from gdbfpu.audit.paths import export_paths
from gdbfpu.audit.rule import Defect, Outcome, Scope, rule
from gdbfpu.audit.snapshot import Snapshot, TaskView
from gdbfpu.fpu.registers import live_bytes
from gdbfpu.xsave.area import Span, in_use, residue
from gdbfpu.xsave.features import PKRU, component_name
from gdbfpu.xsave.legacy import CONTROL_SIZE

__all__ = ("Stale", "stale", "stale_components")

_LANE = 16  # bytes; the unit in which registers are compared
_MIN_DISTINCTIVE = 4  # bytes from the first to the last that is not zero


@dataclass(frozen=True)
class Stale:
    """A component whose header bit is clear, but whose bytes at `places` are not initial."""

    span: Span
    places: tuple[int, ...]

    @property
    def name(self) -> str:
        """Return the component's name."""
        return component_name(self.span.number)


def stale_components(snapshot: Snapshot, view: TaskView) -> tuple[Stale, ...]:
    """Return the stale components of `view`'s image, without PKRU if it is in `thread.pkru`."""
    header = view.header
    if header is None:
        return ()
    moved = snapshot.pkru_moved
    found = (
        Stale(span, residue(view.image, span))
        for span in snapshot.spans(view.image)
        if not in_use(header) >> span.number & 1 and not (moved and span.number == PKRU)
    )
    return tuple(component for component in found if component.places)


@rule(
    "STALE",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="A component whose header bit is clear has initial bytes in memory.",
)
def stale(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for each stale component: a note if no path copies it unchanged.

    Source: Intel SDM volume 1, 13.6 (XINUSE) and 13.9 (XSAVEOPT writes no component that is in
    its initial configuration).
    """
    found = stale_components(snapshot, view)
    raw = [path for path in export_paths(snapshot) if path.raw] if found else []
    for component in found:
        first = component.places[0]
        owner = _owner(snapshot, view, component)
        yield Defect(
            severity=None if raw else Severity.NOTE,
            about=view.task,
            component=component.name,
            read=f"{len(component.places)} of {component.span.size} bytes are not initial, from "
            f"byte {first}; the header's bit {component.span.number} is clear{owner}",
            address=view.at + first,
            why=_why([path.name for path in raw]),
            evidence=bytes(view.image[place] for place in component.places),
        )


def _why(paths: list[str]) -> str:
    if paths:
        return f"the stale bytes reach user space unchanged through {' and '.join(paths)}"
    return (
        "no path of this kernel copies the stale bytes unchanged: they are cleaned on their way "
        "to user space"
    )


def _owner(snapshot: Snapshot, view: TaskView, component: Stale) -> str:
    """Return whose registers the stale bytes equal, as the end of a sentence, or ``."""
    lanes = _distinctive_lanes(view.image, component.span)
    counts = {}
    for other in snapshot.others(view) if lanes else ():
        count = len(lanes & _lanes(snapshot, other, component.span.number))
        if count:
            counts[f"{name_of(other.task)}"] = count
    if not counts:
        return ""
    name, count = max(counts.items(), key=lambda item: item[1])
    return f"; {count * _LANE} bytes equal {component.name} of {name}"


def _distinctive_lanes(image: bytes, span: Span) -> set[bytes]:
    """Return the lanes of the component that are unlikely to be equal by chance.

    For x87 these are only the registers, because MXCSR and its mask, which come before them, are
    the same in most tasks.
    """
    data = image[max(span.offset, CONTROL_SIZE) : span.end]
    lanes = {data[at : at + _LANE] for at in range(0, len(data) - _LANE + 1, _LANE)}
    long_enough = (lane for lane in lanes if len(lane.strip(b"\0")) >= _MIN_DISTINCTIVE)
    return {lane for lane in long_enough if len(set(lane)) > 2}


def _lanes(snapshot: Snapshot, other: TaskView, number: int) -> set[bytes]:
    """Return the lanes of component `number` of `other`, in memory and in its CPU."""
    span = next((s for s in snapshot.spans(other.image) if s.number == number), None)
    if span is None:
        return set()
    lanes = _distinctive_lanes(other.image, span)
    if other.loaded and other.cpu is not None:
        lanes |= _distinctive_lanes(live_bytes(snapshot.model, other.cpu, span), span)
    return lanes
