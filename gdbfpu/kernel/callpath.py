# SPDX-License-Identifier: GPL-2.0-or-later
"""End a call path at the kernel's entry, before anything that user space put on the stack.

A debugger's unwinder does not stop there. Since 4.2 the kernel's entry code has no call frame
information, so the unwinder takes the user's registers, which the entry code saved, for callers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from gdbfpu.kernel.running import stack_size
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import Frame

__all__ = ("TYPES", "CallPath", "read_call_path")

TYPES = ("pt_regs",)
"""Types this module reads."""

_TEXT = (("_stext", "_etext"), ("_sinittext", "_einittext"))
_FIRST_STACK = ("__top_init_kernel_stack", "__end_init_stack")  # since 6.8


@dataclass(frozen=True)
class CallPath:
    """Tells which frames belong to a call path in the kernel.

    `stack_size` is the size of a kernel stack in bytes (THREAD_SIZE), or 0 if it is not known;
    stacks are aligned to it. `user_registers` is the number of bytes at the top of a stack that
    the entry code fills with the user's registers (struct pt_regs). `text` has the addresses of
    the kernel's code; it is empty if they are not known.
    """

    stack_size: int
    user_registers: int
    text: tuple[range, ...]

    def names(self, frames: Iterable[Frame], depth: int) -> tuple[str, ...]:
        """Return the names of at most `depth` of `frames`, innermost first, up to the entry.

        This takes no frame from `frames` after the entry's frame: to unwind one more, a debugger
        would read memory at addresses that user space chose.
        """
        names = []
        for frame in islice(frames, depth):
            if not self._in_kernel(frame):
                break
            names.append(frame.name)
            if self._is_entry(frame):
                break
        return tuple(names)

    def _in_kernel(self, frame: Frame) -> bool:
        in_text = not self.text or any(frame.pc in addresses for addresses in self.text)
        return in_text and (not self.stack_size or self._above(frame) >= self.user_registers)

    def _is_entry(self, frame: Frame) -> bool:
        return bool(self.stack_size) and self._above(frame) <= self.user_registers

    def _above(self, frame: Frame) -> int:
        """Return the number of bytes from the frame's stack pointer to the top of the stack."""
        return self.stack_size - frame.sp % self.stack_size


def read_call_path(kernel: Kernel) -> CallPath:
    """Return where the call paths of `kernel` end; raise MissingType if it has no pt_regs."""
    target = kernel.target
    first, end = (target.symbol_address(name) for name in _FIRST_STACK)
    if first is not None and end is not None:
        registers = end - first  # with the bytes that CONFIG_X86_FRED keeps free above pt_regs
    else:
        registers = kernel.layouts.struct("pt_regs").size
    return CallPath(
        stack_size=stack_size(target),
        user_registers=registers,
        text=_text(kernel),
    )


def _text(kernel: Kernel) -> tuple[range, ...]:
    """Return where code is: in the kernel's image, and anywhere after it, for modules."""
    address = kernel.target.symbol_address
    ends = [(address(start), address(end)) for start, end in _TEXT]
    text = [range(start, end) for start, end in ends if start is not None and end is not None]
    image_end = address("_end")
    if text and image_end is not None:
        text.append(range(image_end, 1 << 64))
    return tuple(text)
