# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules on the XSAVE header: what makes XRSTOR fault, or user space see what is not its own.

Source: Intel SDM volume 1, 13.4.2 (the header), 13.8.1 and 13.12 (when XRSTOR and XRSTORS raise
#GP).
"""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.audit.finding import Severity
from gdbfpu.audit.rule import Defect, Said, Scope, rule
from gdbfpu.audit.snapshot import Snapshot, TaskView
from gdbfpu.xsave.area import COMPACTED, HEADER_OFFSET, RESERVED_OFFSET, XCOMP_OFFSET, in_use
from gdbfpu.xsave.features import SUPERVISOR, describe

__all__ = ("sanoff", "size", "supv", "xcomp", "xcomp2")

_XFEATURES = slice(HEADER_OFFSET, XCOMP_OFFSET)
_XCOMP_BV = slice(XCOMP_OFFSET, RESERVED_OFFSET)
_BEHIND = "XRSTOR reads, and XSAVE writes, behind the area"
_FAULT = "XRSTOR faults (#GP) on it, and the CPU goes on with the registers of the task before"


def _word(view: TaskView, place: slice, read: str, why: str) -> Defect:
    """Return a defect in the header's word at `place` of the image."""
    return Defect(view.task, read, view.at + place.start, why, evidence=view.image[place])


@rule(
    "XCOMP",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="The XSAVE header has nothing that XRSTOR refuses.",
)
def xcomp(snapshot: Snapshot, view: TaskView) -> Iterator[Said]:
    """Yield a defect for each word of a header that XRSTOR refuses: CVE-2017-15537.

    Fixed by 814fb7bb7db5 (4.14): before, ptrace and sigreturn could set the words.
    """
    header = view.header
    if header is None:
        return
    compacted = _compacted(snapshot)
    if not compacted and header.xcomp_bv:
        read = f"xcomp_bv is {header.xcomp_bv:#x}, and the kernel saves in the standard format, "
        yield _word(view, _XCOMP_BV, f"{read}where it is 0", _FAULT)
    yield from _reserved(view, header.reserved)
    known = snapshot.mask if compacted else snapshot.mask | SUPERVISOR  # see SUPV
    foreign = header.xfeatures & ~known
    if foreign:
        read = f"xfeatures is {header.xfeatures:#x}: the kernel does not enable {describe(foreign)}"
        yield _word(view, _XFEATURES, read, _FAULT)


def _reserved(view: TaskView, reserved: bytes) -> Iterator[Said]:
    """Yield a defect where the header's `reserved` bytes are not zero."""
    first = next((i for i, byte in enumerate(reserved, RESERVED_OFFSET) if byte), None)
    if first is not None:
        read = f"the header's reserved bytes are not zero, from byte {first}"
        yield Defect(view.task, read, view.at + first, _FAULT, evidence=reserved)


@rule(
    "XCOMP2",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="A compacted header has bit 63 and the kernel's own components in xcomp_bv.",
)
def xcomp2(snapshot: Snapshot, view: TaskView) -> Iterator[Said]:
    """Yield a defect where the kernel saves compacted and the header says something else.

    XRSTORS needs XCOMP_BV[63] and room for all that XSTATE_BV has; 4.8 and 4.9 had areas
    without (fixed by dffba9a31c77, 4.10).
    """
    header = view.header
    if header is None or not _compacted(snapshot):
        return
    expected = COMPACTED | view.fields.get("fpstate.xfeatures", snapshot.mask)
    missing = in_use(header) & ~header.xcomp_bv
    if header.xcomp_bv != expected:
        yield _word(view, _XCOMP_BV, f"xcomp_bv is {header.xcomp_bv:#x}, not {expected:#x}", _FAULT)
    elif missing:
        read = f"xfeatures has what xcomp_bv has no room for: {describe(missing)}"
        yield _word(view, _XCOMP_BV, read, _FAULT)


@rule(
    "SUPV",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="No image that user space sees has a supervisor component.",
)
def supv(snapshot: Snapshot, view: TaskView) -> Iterator[Said]:
    """Yield a defect for supervisor components in an image of the standard format.

    XSAVE writes none of them there: such an image is, or is to be, one that user space sees.
    """
    header = view.header
    if header is None or _compacted(snapshot):
        return
    seen = header.xfeatures & SUPERVISOR
    if seen:
        why = "user space would see state that IA32_XSS keeps from it"
        yield _word(view, _XFEATURES, f"xfeatures has {describe(seen)}", why)


@rule(
    "SIZE",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="Every component in use ends inside the area.",
)
def size(snapshot: Snapshot, view: TaskView) -> Iterator[Said]:
    """Yield a defect for a component in use that ends behind the area, or for its header."""
    header = view.header
    if header is None:
        if view.image and snapshot.model.format != "fxsave":
            read = f"the area has {len(view.image)} bytes, and no room for its header"
            yield Defect(view.task, read, view.at, _BEHIND)
        return
    for span in snapshot.model.spans(view.image):
        if in_use(header) >> span.number & 1 and span.end > len(view.image):
            name, end = describe(1 << span.number), len(view.image)
            read = f"{name} is in use and ends at byte {span.end}, the area at {end}"
            yield _word(view, _XFEATURES, read, _BEHIND)


@rule(
    "SANOFF",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="No area is compacted where the kernel sanitizes by standard offsets.",
)
def sanoff(snapshot: Snapshot, view: TaskView) -> Iterator[Said]:
    """Yield a defect for a compacted area where the kernel sanitizes by standard offsets.

    3.17 to 4.1 on CPUs with XSAVES; 4.2 turned XSAVES off.
    """
    header = view.header
    if header is not None and header.compacted and snapshot.has("__sanitize_i387_state"):
        why = (
            "__sanitize_i387_state writes at the standard format's offsets: initial bytes land on "
            "other components, stale ones reach user space"
        )
        yield _word(view, _XCOMP_BV, f"xcomp_bv is {header.xcomp_bv:#x}", why)


def _compacted(snapshot: Snapshot) -> bool:
    return snapshot.model.format == "compacted"
