# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules that compare a signal frame with the state before the kernel wrote it.

Source: arch/x86/kernel/fpu/signal.c (copy_fpstate_to_sigframe).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gdbfpu.audit.finding import Severity
from gdbfpu.audit.frame_view import FrameView, frame_spans, zero_padded_header
from gdbfpu.audit.legacy import leaves_pointers
from gdbfpu.audit.rule import Outcome, Scope, Unknown, rule
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.xsave.area import Span, in_use, significant
from gdbfpu.xsave.features import FPSSE, PKRU, X87, component_name
from gdbfpu.xsave.live import placed

__all__ = ("framediff", "framepast")

_WRONG_STATE = "the handler and sigreturn see a state that was not the task's"


@rule(
    "FRAMEPAST",
    scope=Scope.FRAME,
    severity=Severity.ERROR,
    invariant="The kernel writes nothing after the end of a frame.",
)
def framepast(_snapshot: Snapshot, view: FrameView) -> Iterator[Outcome]:
    """Yield a defect for bytes after the frame that the kernel changed."""
    if view.past is None:
        return
    before, after = view.past
    if not before:
        yield Unknown("the bytes after the frame could not be read at entry")
    end = len(view.image)
    changed = [at for at, (a, b) in enumerate(zip(before, after), end) if a != b]
    if changed:
        read = f"{len(changed)} bytes after the frame changed, from byte {changed[0]}"
        why = "the kernel overwrites what the program keeps on its stack"
        yield view.defect(changed[0], read, why)


@rule(
    "FRAMEDIFF",
    scope=Scope.FRAME,
    severity=Severity.ERROR,
    invariant="A frame holds the state that the task had.",
)
def framediff(snapshot: Snapshot, view: FrameView) -> Iterator[Outcome]:
    """Yield a defect for state in the frame that was not the task's when the frame was written.

    If a CPU held the registers, this compares only the registers that the stub shows.
    """
    if not view.image:
        return
    if view.before:
        yield from _against_memory(snapshot, view)
    elif view.registers:
        yield from _against_registers(snapshot, view, view.registers)
    else:
        yield Unknown("the registers were in the CPU, and this stub does not show them")


def _against_memory(snapshot: Snapshot, view: FrameView) -> Iterator[Outcome]:
    """Compare each component in use, at its offset in each image; skip PKRU if it is elsewhere."""
    fxsave = snapshot.model.format == "fxsave"  # no header: x87 and SSE are always in use
    used = FPSSE if fxsave else in_use(zero_padded_header(view.before))
    places = {span.number: span for span in snapshot.spans(view.before)}
    for span in frame_spans(snapshot, view):
        place = places.get(span.number)
        moved = span.number == PKRU and snapshot.pkru_moved
        if place is None or not used >> span.number & 1 or moved:
            continue
        saved = _loadable(snapshot, view.before, place)
        if saved is not None and _restored(snapshot, view, span) != saved:
            name = component_name(span.number)
            read = f"{name} differs from the task's memory at entry"
            yield view.defect(view.frame.base + span.offset, read, _WRONG_STATE, name)


def _restored(snapshot: Snapshot, view: FrameView, span: Span) -> bytes | None:
    """Return the bytes that sigreturn loads for a component: initial bytes if its bit is clear.

    The bytes in the frame may then be anything: see XFEATURE_MASK_SIGFRAME_INITOPT.
    """
    found = _loadable(snapshot, view.xsave, span)
    extended = not FPSSE >> span.number & 1
    if found is not None and extended and not in_use(view.header) >> span.number & 1:
        return bytes(len(found))
    return found


def _loadable(snapshot: Snapshot, image: bytes, span: Span) -> bytes | None:
    """Return those bytes of a component that survive a load and a save."""
    data = significant(image, span)
    if data is None or span.number != X87 or not leaves_pointers(snapshot):
        return data
    return data[:5] + data[23:]  # without FOP, FIP and FDP


def _against_registers(
    snapshot: Snapshot, view: FrameView, registers: Mapping[str, bytes]
) -> Iterator[Outcome]:
    """Compare the registers that the stub showed at entry."""
    used = in_use(view.header) | FPSSE
    for part in placed(registers, frame_spans(snapshot, view)):
        found = view.xsave[part.at : part.at + len(part.data)]
        if not used >> part.number & 1:
            found = bytes(len(part.data))  # as in `_restored`
        if found != part.data:
            read = f"{part.name} differs from the CPU's register at entry"
            component = component_name(part.number)
            yield view.defect(view.frame.base + part.at, read, _WRONG_STATE, component)
