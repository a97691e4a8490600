# SPDX-License-Identifier: GPL-2.0-or-later
"""A signal frame as the rules look at it: its bytes, and what it was written from.

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

_SHOWN = 64  # bytes of evidence


@dataclass(frozen=True)
class FrameView:
    """A frame that a task's kernel code just wrote to user memory, and what it was written from.

    `address` is where the frame begins, `image` its bytes up to FP_XSTATE_MAGIC2 (empty: not
    read, for the reason `unread`). `before` is the task's register image in memory at entry,
    empty where a CPU held the registers, of which `registers` are then those that the stub
    shows. `past` are the bytes behind the frame at entry and at return, empty where they cannot
    be read, None of a frame that was not seen to be written. `size` (bytes) and `mask` (u64) are
    what an image of this task has for user space, 0 for what the kernel has by default.
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
        """Return a defect at byte `at` of the frame, with the bytes there."""
        evidence = self.image[at : at + _SHOWN]
        return Defect(self.task, read, self.address + at, why, component, evidence)


def zero_padded_header(image: bytes) -> XsaveHeader:
    """Return the XSAVE header of `image`, which may be short; missing bytes read as zero."""
    return parse_header(image.ljust(EXTENDED_OFFSET, b"\0"))


def user_size(snapshot: Snapshot, view: FrameView) -> int:
    """Return how many bytes the image in a frame of the task's has."""
    return view.size or snapshot.model.xstate.user_size


def user_mask(snapshot: Snapshot, view: FrameView) -> int:
    """Return the components (u64) that the image in a frame of the task's has."""
    return view.mask or snapshot.model.xstate.user_mask


def frame_spans(snapshot: Snapshot, view: FrameView) -> tuple[Span, ...]:
    """Return where components lie in the frame's image: always in the standard format."""
    tables = snapshot.model.xstate.tables
    spans = standard_spans(user_mask(snapshot, view) | FPSSE, tables.offsets, tables.sizes)
    return tuple(span for span in spans if span.end <= len(view.xsave))
