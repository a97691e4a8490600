# SPDX-License-Identifier: GPL-2.0-or-later
"""Check with one read that a task runs on the stopped CPU, and get its flags and CPU.

Since 4.9 (commit c65eacbe290b) thread_info is part of task_struct. So thread_info, the stack, the
PF_ flags and the number of the CPU lie close together, and one read returns all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.kernel.fields import read_fields
from gdbfpu.layouts.types import Layouts, Member
from gdbfpu.target import Machine, Memory

__all__ = ("Running", "RunningReader", "find_reader", "stack_size")

# The symbol of a stack of THREAD_SIZE bytes: the first from 4.18 on, the second up to 4.17.
_STACKS = ("init_stack", "init_thread_union")
# The first from 5.16 on (commit bcf9033e5449), the second from 4.9 to 5.15.
_CPU = ("thread_info.cpu", "cpu")


@dataclass(frozen=True)
class Running:
    """The `thread_info.flags` (u64), PF_ `flags` (u32) and CPU number of a running task."""

    thread_flags: int
    flags: int
    cpu: int


@dataclass(frozen=True)
class RunningReader:
    """Reads the `members` of a running task's task_struct. `stack_size` is in bytes."""

    members: dict[str, Member]
    stack_size: int

    def read(self, machine: Machine, task: int) -> Running | None:
        """Return the task whose task_struct is at `task` if it runs on the stopped CPU, else None.

        The task runs there if it is on a CPU (`on_cpu`) and its stack contains the stopped CPU's
        stack pointer. In an interrupt the stack pointer may be elsewhere: then this returns None,
        too. Raises MemoryFault.
        """
        fields = read_fields(machine, task, self.members)
        values = {name: int.from_bytes(data, "little") for name, data in fields.items()}
        above = (machine.register("rsp") or 0) - values["stack"]
        if not values["on_cpu"] or not 0 <= above < self.stack_size:
            return None
        return Running(values["thread_flags"], values["flags"], values["cpu"])


def find_reader(target: Memory, layouts: Layouts) -> RunningReader | None:
    """Return the reader for this kernel, or None if a member or the stack's size is missing."""
    cpus = (layouts.find("task_struct", path) for path in _CPU)
    found = {
        "thread_flags": layouts.find("task_struct", "thread_info.flags"),
        "flags": layouts.find("task_struct", "flags"),
        "stack": layouts.find("task_struct", "stack"),
        "on_cpu": layouts.find("task_struct", "on_cpu"),
        "cpu": next((cpu for cpu in cpus if cpu), None),
    }
    members = {name: member for name, member in found.items() if member}
    size = stack_size(target)
    return RunningReader(members, size) if size and members.keys() == found.keys() else None


def stack_size(target: Memory) -> int:
    """Return the size in bytes of a task's kernel stack (THREAD_SIZE), or 0 if it is not known."""
    return next((size for size in map(target.symbol_size, _STACKS) if size), 0)
