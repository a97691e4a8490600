# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules on the XSAVE header: XRSTOR must not fault, user space must see only its own state.

Source: Intel SDM volume 1, 13.4.2 (the header), 13.8.1 and 13.12 (when XRSTOR and XRSTORS raise
#GP).
"""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.audit.finding import Severity
from gdbfpu.audit.rule import Defect, Outcome, Scope, rule
from gdbfpu.audit.snapshot import Snapshot, TaskView
from gdbfpu.xsave.area import COMPACTED, HEADER_OFFSET, RESERVED_OFFSET, XCOMP_OFFSET, in_use
from gdbfpu.xsave.features import SUPERVISOR, describe

__all__ = ("sanoff", "size", "supv", "xcomp", "xcomp2")

_XFEATURES = slice(HEADER_OFFSET, XCOMP_OFFSET)
_XCOMP_BV = slice(XCOMP_OFFSET, RESERVED_OFFSET)
_OUTSIDE = "XRSTOR reads and XSAVE writes beyond the end of the area"
_FAULT = "XRSTOR faults (#GP) on this header, and the CPU keeps the registers of the previous task"


def _word(view: TaskView, place: slice, read: str, why: str) -> Defect:
    """Return a defect in the header's word at `place` of the image."""
    return Defect(view.task, read, view.at + place.start, why, evidence=view.image[place])


@rule(
    "XCOMP",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="The XSAVE header has nothing that XRSTOR refuses.",
)
def xcomp(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for each word of a header that XRSTOR refuses: CVE-2017-15537.

    814fb7bb7db5 (4.14) fixes it: before that, ptrace and sigreturn could set the words.
    """
    header = view.header
    if header is None:
        return
    compacted = _compacted(snapshot)
    if not compacted and header.xcomp_bv:
        read = f"xcomp_bv is {header.xcomp_bv:#x}, but the kernel saves in the standard format, "
        yield _word(view, _XCOMP_BV, f"{read}where it must be 0", _FAULT)
    yield from _reserved(view, header.reserved)
    known = snapshot.mask if compacted else snapshot.mask | SUPERVISOR  # see SUPV
    unknown = header.xfeatures & ~known
    if unknown:
        read = f"xfeatures is {header.xfeatures:#x}: the kernel does not enable {describe(unknown)}"
        yield _word(view, _XFEATURES, read, _FAULT)


def _reserved(view: TaskView, reserved: bytes) -> Iterator[Outcome]:
    """Yield a defect where the header's `reserved` bytes are not zero."""
    first = next((i for i, byte in enumerate(reserved, RESERVED_OFFSET) if byte), None)
    if first is not None:
        read = f"reserved bytes of the header are not zero, from byte {first}"
        yield Defect(view.task, read, view.at + first, _FAULT, evidence=reserved)


@rule(
    "XCOMP2",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="In a compacted area, xcomp_bv has bit 63 and the components that the kernel saves.",
)
def xcomp2(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect if the kernel saves in the compacted format and the header says otherwise.

    XRSTORS needs XCOMP_BV[63], and room for all components of XSTATE_BV. In 4.8 and 4.9 some
    areas had neither (fixed by dffba9a31c77, 4.10).
    """
    header = view.header
    if header is None or not _compacted(snapshot):
        return
    expected = COMPACTED | view.fields.get("fpstate.xfeatures", snapshot.mask)
    missing = in_use(header) & ~header.xcomp_bv
    if header.xcomp_bv != expected:
        yield _word(view, _XCOMP_BV, f"xcomp_bv is {header.xcomp_bv:#x}, not {expected:#x}", _FAULT)
    elif missing:
        read = f"xfeatures has {describe(missing)}, but xcomp_bv has no room for it"
        yield _word(view, _XCOMP_BV, read, _FAULT)


@rule(
    "SUPV",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="No image that user space sees has a supervisor component.",
)
def supv(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for supervisor components in an image of the standard format.

    XSAVE never writes such components. User space sees such images, or will see them.
    """
    header = view.header
    if header is None or _compacted(snapshot):
        return
    seen = header.xfeatures & SUPERVISOR
    if seen:
        why = "user space would see state that IA32_XSS hides from it"
        yield _word(view, _XFEATURES, f"xfeatures has {describe(seen)}", why)


@rule(
    "SIZE",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="Every component in use ends inside the area.",
)
def size(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect if a component in use, or the header, does not fit in the area."""
    header = view.header
    if header is None:
        if view.image and snapshot.model.format != "fxsave":
            read = f"the area has {len(view.image)} bytes, too few for its header"
            yield Defect(view.task, read, view.at, _OUTSIDE)
        return
    for span in snapshot.model.spans(view.image):
        if in_use(header) >> span.number & 1 and span.end > len(view.image):
            name, end = describe(1 << span.number), len(view.image)
            read = f"{name} is in use and ends at byte {span.end}, but the area ends at {end}"
            yield _word(view, _XFEATURES, read, _OUTSIDE)


@rule(
    "SANOFF",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="No area is compacted if the kernel sanitizes at standard offsets.",
)
def sanoff(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for a compacted area if the kernel sanitizes at standard offsets.

    This happens in 3.17 to 4.1 on CPUs with XSAVES; 4.2 turned XSAVES off.
    """
    header = view.header
    if header is not None and header.compacted and snapshot.has("__sanitize_i387_state"):
        why = (
            "__sanitize_i387_state writes at the standard format's offsets: initial bytes "
            "overwrite other components, and stale bytes reach user space"
        )
        yield _word(view, _XCOMP_BV, f"xcomp_bv is {header.xcomp_bv:#x}", why)


def _compacted(snapshot: Snapshot) -> bool:
    return snapshot.model.format == "compacted"
