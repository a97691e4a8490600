# SPDX-License-Identifier: GPL-2.0-or-later
"""What the first bytes of a task_struct tell: whether that task runs where the CPU stopped.

thread_info, the stack, PF_ flags and the CPU's number are neighbours there since thread_info
is a part of task_struct (4.9, commit c65eacbe290b), so that one read has them all.
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.kernel.fields import read_fields
from gdbfpu.layouts.types import Layouts, Member
from gdbfpu.target import Machine, Memory

__all__ = ("Front", "FrontReader", "find_front", "stack_size")

_STACKS = ("init_stack", "init_thread_union")  # THREAD_SIZE is a macro; since 4.18, and before
_CPU = ("thread_info.cpu", "cpu")  # since 5.16 (commit bcf9033e5449), and from 4.9 on


@dataclass(frozen=True)
class Front:
    """A running task's `thread_flags` (`thread_info.flags`, u64), `flags` (PF_, u32) and CPU."""

    thread_flags: int
    flags: int
    cpu: int


@dataclass(frozen=True)
class FrontReader:
    """Reads fronts; `members` are those of task_struct by what they tell, `stack` is bytes."""

    members: dict[str, Member]
    stack: int

    def read(self, machine: Machine, task: int) -> Front | None:
        """Return the front of the task_struct at `task` if that task runs on the stopped CPU.

        That is proven by the stack: a running task's (`on_cpu`) holds the CPU's stack pointer.
        None where it does not, as in an interrupt. Raises MemoryFault.
        """
        fields = read_fields(machine, task, self.members)
        told = {name: int.from_bytes(data, "little") for name, data in fields.items()}
        above = (machine.register("rsp") or 0) - told["stack"]
        if not told["on_cpu"] or not 0 <= above < self.stack:
            return None
        return Front(told["thread_flags"], told["flags"], told["cpu"])


def find_front(target: Memory, layouts: Layouts) -> FrontReader | None:
    """Return how this kernel's fronts are read, None where they do not tell enough."""
    cpus = (layouts.find("task_struct", path) for path in _CPU)
    found = {
        "thread_flags": layouts.find("task_struct", "thread_info.flags"),
        "flags": layouts.find("task_struct", "flags"),
        "stack": layouts.find("task_struct", "stack"),
        "on_cpu": layouts.find("task_struct", "on_cpu"),
        "cpu": next((cpu for cpu in cpus if cpu), None),
    }
    members = {name: member for name, member in found.items() if member}
    stack = stack_size(target)
    return FrontReader(members, stack) if stack and members.keys() == found.keys() else None


def stack_size(target: Memory) -> int:
    """Return the bytes of a task's kernel stack (THREAD_SIZE), 0 where they are not known."""
    return next((size for size in map(target.symbol_size, _STACKS) if size), 0)
