# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules on the XSAVE header: what makes XRSTOR fault, or user space see what is not its own.

Source: Intel SDM volume 1, 13.4.2 (the header), 13.8.1 and 13.12 (when XRSTOR and XRSTORS raise
#GP).
"""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.audit.finding import Finding, Result
from gdbfpu.audit.snapshot import Snapshot, TaskView
from gdbfpu.xsave.area import COMPACTED, HEADER_OFFSET, in_use
from gdbfpu.xsave.features import SUPERVISOR, describe

__all__ = ("sanoff", "size", "supv", "xcomp", "xcomp2")

_XCOMP_OFFSET = HEADER_OFFSET + 8
_RESERVED_OFFSET = HEADER_OFFSET + 16
_BEHIND = "XRSTOR reads, and XSAVE writes, behind the area"
_FAULT = "XRSTOR faults (#GP) on it, and the CPU goes on with the registers of the task before"


def _finding(view: TaskView, rule: str, at: int, read: str, why: str, data: bytes) -> Finding:
    return Finding(rule, "error", view.task, read, view.at + at, why, evidence=data)


def xcomp(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding for each word of a header that XRSTOR refuses: CVE-2017-15537.

    Fixed by 814fb7bb7db5 (4.14): before, ptrace and sigreturn could set the words.
    """
    header = view.header
    if header is None:
        return
    if not _compacted(snapshot) and header.xcomp_bv:
        yield _finding(
            view,
            "XCOMP",
            _XCOMP_OFFSET,
            f"xcomp_bv is {header.xcomp_bv:#x}, and the kernel saves in the standard "
            "format, where it is 0",
            _FAULT,
            view.image[520:528],
        )
    dirty = next((i for i, byte in enumerate(header.reserved) if byte), None)
    if dirty is not None:
        yield _finding(
            view,
            "XCOMP",
            _RESERVED_OFFSET + dirty,
            f"the header's reserved bytes are not zero, from byte {_RESERVED_OFFSET + dirty}",
            _FAULT,
            header.reserved,
        )
    known = snapshot.mask if _compacted(snapshot) else snapshot.mask | SUPERVISOR  # see SUPV
    foreign = header.xfeatures & ~known
    if foreign:
        yield _finding(
            view,
            "XCOMP",
            HEADER_OFFSET,
            f"xfeatures is {header.xfeatures:#x}: the kernel does not enable {describe(foreign)}",
            _FAULT,
            view.image[512:520],
        )


def xcomp2(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding where the kernel saves compacted and the header says something else.

    XRSTORS needs XCOMP_BV[63] and room for all that XSTATE_BV has; 4.8 and 4.9 had areas
    without (fixed by dffba9a31c77, 4.10).
    """
    header = view.header
    if header is None or not _compacted(snapshot):
        return
    expected = COMPACTED | view.fields.get("fpstate.xfeatures", snapshot.mask)
    missing = in_use(header) & ~header.xcomp_bv
    if header.xcomp_bv != expected:
        read = f"xcomp_bv is {header.xcomp_bv:#x}, not {expected:#x}"
    elif missing:
        read = f"xfeatures has what xcomp_bv has no room for: {describe(missing)}"
    else:
        return
    yield _finding(view, "XCOMP2", _XCOMP_OFFSET, read, _FAULT, view.image[520:528])


def supv(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding for supervisor components in an image of the standard format.

    XSAVE writes none of them there: such an image is, or is to be, one that user space sees.
    """
    header = view.header
    if header is None or _compacted(snapshot):
        return
    seen = header.xfeatures & SUPERVISOR
    if seen:
        why = "user space would see state that IA32_XSS keeps from it"
        yield _finding(
            view, "SUPV", HEADER_OFFSET, f"xfeatures has {describe(seen)}", why, view.image[512:520]
        )


def size(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding for a component in use that ends behind the area, or for its header."""
    header = view.header
    if header is None:
        if view.image and snapshot.model.format != "fxsave":
            read = f"the area has {len(view.image)} bytes, and no room for its header"
            yield _finding(view, "SIZE", 0, read, _BEHIND, b"")
        return
    for span in snapshot.model.spans(view.image):
        if in_use(header) >> span.number & 1 and span.end > len(view.image):
            yield _finding(
                view,
                "SIZE",
                HEADER_OFFSET,
                f"{describe(1 << span.number)} is in use and ends at byte {span.end}, "
                f"the area at {len(view.image)}",
                _BEHIND,
                view.image[512:520],
            )


def sanoff(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding for a compacted area where the kernel sanitizes by standard offsets.

    3.17 to 4.1 on CPUs with XSAVES; 4.2 turned XSAVES off.
    """
    header = view.header
    if header is not None and header.compacted and snapshot.has("__sanitize_i387_state"):
        yield _finding(
            view,
            "SANOFF",
            _XCOMP_OFFSET,
            f"xcomp_bv is {header.xcomp_bv:#x}",
            "__sanitize_i387_state writes at the standard format's offsets: initial "
            "bytes land on other components, stale ones reach user space",
            view.image[520:528],
        )


def _compacted(snapshot: Snapshot) -> bool:
    return snapshot.model.format == "compacted"
