# SPDX-License-Identifier: GPL-2.0-or-later
"""The FPU part of a signal frame: what the kernel wrote to a user stack.

Source: the kernel's arch/x86/include/uapi/asm/sigcontext.h (`struct _fpstate_32`,
`_fpstate_64`, `_fpx_sw_bytes`) and arch/x86/kernel/fpu/signal.c.
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.xsave.legacy import SW_RESERVED_OFFSET

__all__ = (
    "FREGS_SIZE",
    "MAGIC1",
    "MAGIC2",
    "MAGIC2_SIZE",
    "SW_XFEATURES_OFFSET",
    "SW_XSTATE_SIZE_OFFSET",
    "Frame",
    "frame_defects",
    "parse_frame",
)

MAGIC1 = 0x46505853
"""FP_XSTATE_MAGIC1, at the start of sw_reserved: the frame has extended state."""
MAGIC2 = 0x46505845
"""FP_XSTATE_MAGIC2, after the extended state."""
MAGIC2_SIZE = 4
"""Bytes of FP_XSTATE_MAGIC2."""
FREGS_SIZE = 112
"""Bytes of `struct fregs_state`. In a 32-bit frame it comes before the FXSAVE image."""

SW_XFEATURES_OFFSET, SW_XSTATE_SIZE_OFFSET = SW_RESERVED_OFFSET + 8, SW_RESERVED_OFFSET + 16
"""Where the FXSAVE image has these members of `struct _fpx_sw_bytes`."""


@dataclass(frozen=True)
class Frame:
    """What a frame says of itself, in sw_reserved of its FXSAVE image.

    `ia32` is set for the frame of a 32-bit task, which begins with an FSAVE image. `magic1`,
    `extended_size`, `xstate_size` (bytes) and `magic2` are u32, `xfeatures` u64; `magic2` is
    None if the image ends before it, or if there is no extended state.
    """

    ia32: bool
    magic1: int
    extended_size: int
    xfeatures: int
    xstate_size: int
    magic2: int | None

    @property
    def base(self) -> int:
        """Return where the FXSAVE image begins, in bytes from the start of the frame."""
        return FREGS_SIZE if self.ia32 else 0

    @property
    def extended(self) -> bool:
        """Return whether the frame says that it has an XSAVE header and extended state."""
        return self.magic1 == MAGIC1


def parse_frame(image: bytes) -> Frame:
    """Return what the frame `image` says of itself; bytes that it lacks read as zero."""
    ia32 = _is_ia32(image)
    base = FREGS_SIZE if ia32 else 0
    xstate_size = _integer(image, base + SW_XSTATE_SIZE_OFFSET, 4)
    end = base + xstate_size
    magic1 = _integer(image, base + SW_RESERVED_OFFSET, 4)
    has_magic2 = magic1 == MAGIC1 and end + MAGIC2_SIZE <= len(image)
    return Frame(
        ia32=ia32,
        magic1=magic1,
        extended_size=_integer(image, base + SW_RESERVED_OFFSET + 4, 4),
        xfeatures=_integer(image, base + SW_XFEATURES_OFFSET, 8),
        xstate_size=xstate_size,
        magic2=_integer(image, end, 4) if has_magic2 else None,
    )


def frame_defects(frame: Frame, size: int) -> tuple[str, ...]:
    """Return what is wrong with `frame` in an image of `size` bytes, one line each."""
    if not frame.extended:
        return ()
    if size < frame.base + SW_XSTATE_SIZE_OFFSET + 4:
        return ("the image ends inside sw_reserved, which has the frame's sizes",)
    found = []
    if frame.base + frame.xstate_size > size:
        found.append(f"the frame promises {frame.xstate_size} bytes of state; the image is short")
    elif frame.magic2 is None:
        found.append("the image ends before FP_XSTATE_MAGIC2")
    elif frame.magic2 != MAGIC2:
        found.append(f"FP_XSTATE_MAGIC2 is missing: {frame.magic2:#x} at the end of the state")
    expected = frame.base + frame.xstate_size + 4
    if frame.extended_size != expected:
        found.append(f"extended_size is {frame.extended_size}, not {expected}")
    return tuple(found)


def _is_ia32(image: bytes) -> bool:
    """Return whether the frame begins with an FSAVE image, which has 0xffff after its FCW."""
    if _integer(image, SW_RESERVED_OFFSET, 4) == MAGIC1:
        return False
    extended = _integer(image, FREGS_SIZE + SW_RESERVED_OFFSET, 4) == MAGIC1
    return extended or _integer(image, 2, 2) == 0xFFFF


def _integer(image: bytes, offset: int, size: int) -> int:
    return int.from_bytes(image[offset : offset + size], "little")
