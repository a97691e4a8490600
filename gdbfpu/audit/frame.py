# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules on what a signal frame says about itself, and on what the handler finds in it.

Source: arch/x86/kernel/fpu/signal.c (copy_fpstate_to_sigframe, save_xstate_epilog,
check_xstate_in_sigframe).
"""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.audit.finding import Severity
from gdbfpu.audit.frame_view import FrameView, frame_spans, user_mask, user_size
from gdbfpu.audit.header import supv
from gdbfpu.audit.rule import Defect, Outcome, Scope, Unknown, rule
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.xsave.area import HEADER_OFFSET, XCOMP_OFFSET, in_use, residue
from gdbfpu.xsave.features import SUPERVISOR, TILECFG, TILEDATA, component_name, describe
from gdbfpu.xsave.legacy import SW_RESERVED_OFFSET
from gdbfpu.xsave.sigframe import MAGIC1, SW_XFEATURES_OFFSET, SW_XSTATE_SIZE_OFFSET, frame_defects

__all__ = ("frame", "frame32", "framestale", "supv_in_frame")

_LOST = "sigreturn finds no extended state in the frame: AVX and everything above is lost"
_TRUSTED = "sigreturn trusts the frame: the state is lost, or read from beyond the frame's end"
# XFEATURE_MASK_SIGFRAME_INITOPT, since 5.17 (commit 30d02551ba4f): while these components are
# initial, the kernel writes no bytes for them, and the user's stack keeps its old bytes there.
# 5.16 always writes them. No kernel before 5.16 has these components.
_LEFT_OUT = 1 << TILECFG | 1 << TILEDATA


@rule(
    "FRAME",
    scope=Scope.FRAME,
    severity=Severity.ERROR,
    invariant="A signal frame describes itself correctly.",
)
def frame(snapshot: Snapshot, view: FrameView) -> Iterator[Outcome]:
    """Yield a defect for each thing that the frame says about itself and that is false.

    sigreturn trusts the frame: CVE-2024-26603 (d877550eaf2d, 6.8).
    """
    if not view.image:
        yield Unknown(f"not read: {view.unread}")
    elif view.frame.extended:
        yield from _sw_reserved(snapshot, view)
        yield from _xstate_header(snapshot, view)
    elif snapshot.model.format != "fxsave" and not view.frame.ia32:  # else see FRAME32
        read = f"magic1 is {view.frame.magic1:#x}, not {MAGIC1:#x}"
        yield view.defect(view.frame.base + SW_RESERVED_OFFSET, read, _LOST)


def _sw_reserved(snapshot: Snapshot, view: FrameView) -> Iterator[Outcome]:
    """Yield a defect for each member of the software bytes that does not match the task."""
    found, base = view.frame, view.frame.base
    for read in frame_defects(found, len(view.image)):
        yield view.defect(base + SW_RESERVED_OFFSET, read, _TRUSTED)
    size, mask = user_size(snapshot, view), user_mask(snapshot, view)
    if found.xstate_size != size:
        read = f"xstate_size is {found.xstate_size}, but the task's user images have {size} bytes"
        yield view.defect(base + SW_XSTATE_SIZE_OFFSET, read, _TRUSTED)
    if found.xfeatures != mask:
        read = f"sw_reserved.xfeatures is {found.xfeatures:#x}, but the task's are {mask:#x}"
        yield view.defect(base + SW_XFEATURES_OFFSET, read, _TRUSTED)


def _xstate_header(snapshot: Snapshot, view: FrameView) -> Iterator[Outcome]:
    """Yield a defect for a header that sigreturn cannot load, or that has unknown features."""
    header, dirty = view.header, any(view.header.reserved)
    if header.xcomp_bv or dirty:
        read = f"xcomp_bv is {header.xcomp_bv:#x}, reserved bytes are {'not ' if dirty else ''}zero"
        why = "sigreturn loads this header: XRSTOR faults (#GP), CVE-2017-15537"
        yield view.defect(view.frame.base + XCOMP_OFFSET, read, why)
    foreign = _foreign(snapshot, view)
    if foreign and not foreign & SUPERVISOR:  # else see SUPV
        yield _exposed(view, foreign)


@supv.also(Scope.FRAME)
def supv_in_frame(snapshot: Snapshot, view: FrameView) -> Iterator[Outcome]:
    """Yield a defect for supervisor components in the image that is on the user stack."""
    foreign = _foreign(snapshot, view) if view.frame.extended else 0
    if foreign & SUPERVISOR:
        yield _exposed(view, foreign)


def _foreign(snapshot: Snapshot, view: FrameView) -> int:
    """Return the components (u64) in the frame's header that user space must not see."""
    return view.header.xfeatures & ~user_mask(snapshot, view)


def _exposed(view: FrameView, foreign: int) -> Defect:
    read = f"xfeatures has {describe(foreign)}, which user space may not see"
    why = "the user stack has state that does not belong to user space"
    return view.defect(view.frame.base + HEADER_OFFSET, read, why)


@rule(
    "FRAME32",
    scope=Scope.FRAME,
    severity=Severity.ERROR,
    invariant="A 32-bit task's frame includes the extended state.",
)
def frame32(snapshot: Snapshot, view: FrameView) -> Iterator[Outcome]:
    """Yield a defect for a 32-bit task's frame that hides its extended state.

    32-bit kernels from 3.7 to 4.3 did not set up fx_sw_reserved_ia32: ab6b52947545.
    """
    found = view.frame
    if found.ia32 and not found.extended and snapshot.model.format != "fxsave":
        read = f"the 32-bit frame has {found.magic1:#x} in place of FP_XSTATE_MAGIC1"
        yield view.defect(found.base + SW_RESERVED_OFFSET, read, _LOST)


@rule(
    "FRAMESTALE",
    scope=Scope.FRAME,
    severity=Severity.ERROR,
    invariant="In a frame, a component whose header bit is clear has initial bytes, except for "
    "AMX.",
)
def framestale(snapshot: Snapshot, view: FrameView) -> Iterator[Outcome]:
    """Yield a defect for stale bytes that reached the user stack."""
    if not view.frame.extended:
        return
    written, image = in_use(view.header) | _LEFT_OUT, view.xsave
    for span in frame_spans(snapshot, view):
        places = residue(image, span)
        if places and not written >> span.number & 1:
            name = component_name(span.number)
            read = (
                f"{len(places)} of {span.size} bytes of {name} are not initial, but the frame's "
                f"bit {span.number} is clear"
            )
            why = "old registers, or those of another task, are on the user stack"
            yield view.defect(view.frame.base + places[0], read, why, name)
