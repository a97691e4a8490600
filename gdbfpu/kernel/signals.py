# SPDX-License-Identifier: GPL-2.0-or-later
"""Find out whether a task may be in a signal handler.

The kernel has no flag for that: only the frame on the user stack shows it. But while a handler
runs, its signal is blocked, unless the program installed the handler with SA_NODEFER.
"""

from __future__ import annotations

from gdbfpu.kernel.fields import read_fields
from gdbfpu.kernel.tasks import CHANGES, Kernel, Task
from gdbfpu.target import read_u64

__all__ = ("TYPES", "blocked", "blocked_and_switches", "may_be_in_handler")

TYPES = ("k_sigaction", "sigaction", "sighand_struct")
"""Types this module reads."""

_SA_NODEFER = 0x40000000  # include/uapi/asm-generic/signal-defs.h; macros
_SA_RESETHAND = 0x80000000
_NO_HANDLER = (0, 1)  # SIG_DFL, SIG_IGN


def blocked(kernel: Kernel, task: int) -> int:
    """Return the signals that the task_struct at `task` blocks (u64), bit n - 1 for signal n."""
    return read_u64(kernel.target, task + kernel.layouts.offset("task_struct", "blocked"))


def blocked_and_switches(kernel: Kernel, task: Task) -> tuple[int, int]:
    """Return the signals that `task` blocks (u64), and how often it left a CPU, plus 1.

    As long as that number stays the same, so does the task's state in memory.
    """
    unread = {
        name: kernel.layouts.member("task_struct", name)
        for name in CHANGES
        if name not in task.changes
    }
    fields = dict(task.changes)
    if unread:
        fields.update(read_fields(kernel.target, task.address, unread))
    mask, *counts = (int.from_bytes(fields[name], "little") for name in CHANGES)
    return mask, 1 + sum(counts)


def may_be_in_handler(kernel: Kernel, task: int, mask: int | None = None) -> bool:
    """Return whether the task_struct at `task` can be in a handler while it blocks `mask` (u64).

    Without `mask`, this takes the signals that the task blocks now. Returns True if we lack the
    types to tell. Raises MemoryFault.
    """
    table = kernel.layouts.find("sighand_struct", "action")
    place = kernel.layouts.find("task_struct", "sighand")
    fields = [kernel.layouts.find("k_sigaction", f"sa.{n}") for n in ("sa_handler", "sa_flags")]
    if table is None or place is None or None in fields:
        return True
    members = {"sighand": place, "blocked": kernel.layouts.member("task_struct", "blocked")}
    read = read_fields(kernel.target, task, members)
    sighand, now = (int.from_bytes(read[name], "little") for name in members)
    if not sighand:  # the task has ended
        return False
    mask = now if mask is None else mask
    size = kernel.layouts.struct("k_sigaction").size
    data = kernel.target.read_memory(sighand + table.offset, table.size)
    for number, start in enumerate(range(0, len(data) - size + 1, size)):
        handler, flags = (
            int.from_bytes(data[start + f.offset : start + f.offset + f.size], "little")
            for f in fields
            if f is not None
        )
        if handler in _NO_HANDLER and not flags & _SA_RESETHAND:
            continue
        if flags & _SA_NODEFER or mask >> number & 1:
            return True
    return False
