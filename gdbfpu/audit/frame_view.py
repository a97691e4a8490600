# SPDX-License-Identifier: GPL-2.0-or-later
"""A signal frame as the rules see it: its bytes, and the state that the kernel wrote to it.

Source: `struct _fpx_sw_bytes` in the kernel's asm/sigcontext.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gdbfpu.audit.rule import Defect
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.kernel.tasks import Task
from gdbfpu.xsave.area import EXTENDED_OFFSET, Span, XsaveHeader, parse_header, standard_spans
from gdbfpu.xsave.features import FPSSE
from gdbfpu.xsave.sigframe import Frame, parse_frame

__all__ = ("FrameView", "frame_spans", "user_mask", "user_size", "zero_padded_header")

_EVIDENCE_SIZE = 64  # bytes of evidence


@dataclass(frozen=True)
class FrameView:
    """A frame that the kernel wrote to a task's user memory, and the state that it had to write.

    `address` is where the frame begins, `image` its bytes up to FP_XSTATE_MAGIC2. If the bytes
    could not be read, `image` is empty and `unread` says why.

    We may have watched the kernel function that writes the frame. Then `before` is the task's
    register image in memory at the function's entry. If a CPU held the registers, `before` is
    empty and `registers` has the registers that the stub shows. `past` has the bytes after the
    frame, at entry and at return; they are empty if they could not be read. `past` is None if we
    did not watch the function.

    `size` (bytes) and `mask` (u64) are the size and the components of this task's images for user
    space; 0 stands for the kernel's defaults.
    """

    task: Task
    address: int
    image: bytes
    unread: str = ""
    before: bytes = b""
    registers: Mapping[str, bytes] | None = None
    past: tuple[bytes, bytes] | None = None
    size: int = 0
    mask: int = 0

    @property
    def frame(self) -> Frame:
        """Return the frame's software bytes."""
        return parse_frame(self.image)

    @property
    def xsave(self) -> bytes:
        """Return the FXSAVE or XSAVE image in the frame."""
        end = self.frame.base + self.frame.xstate_size if self.frame.extended else None
        return self.image[self.frame.base : end]

    @property
    def header(self) -> XsaveHeader:
        """Return the XSAVE header of the image in the frame; missing bytes read as zero."""
        return zero_padded_header(self.xsave)

    def defect(self, at: int, read: str, why: str, component: str = "") -> Defect:
        """Return a defect at byte `at` of the frame, with the bytes there as evidence."""
        evidence = self.image[at : at + _EVIDENCE_SIZE]
        return Defect(self.task, read, self.address + at, why, component, evidence)


def zero_padded_header(image: bytes) -> XsaveHeader:
    """Return the XSAVE header of `image`, which may be short; missing bytes read as zero."""
    return parse_header(image.ljust(EXTENDED_OFFSET, b"\0"))


def user_size(snapshot: Snapshot, view: FrameView) -> int:
    """Return the size (bytes) of the image in one of the task's frames."""
    return view.size or snapshot.model.xstate.user_size


def user_mask(snapshot: Snapshot, view: FrameView) -> int:
    """Return the components (u64) of the image in one of the task's frames."""
    return view.mask or snapshot.model.xstate.user_mask


def frame_spans(snapshot: Snapshot, view: FrameView) -> tuple[Span, ...]:
    """Return where components lie in the frame's image, which is always in the standard format."""
    tables = snapshot.model.xstate.tables
    spans = standard_spans(user_mask(snapshot, view) | FPSSE, tables.offsets, tables.sizes)
    return tuple(span for span in spans if span.end <= len(view.xsave))
