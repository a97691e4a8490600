# SPDX-License-Identifier: GPL-2.0-or-later
"""The registers of a CPU: which task owns them, and which of them the stub shows."""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.fpu.model import FpuModel
from gdbfpu.target import read_u64

__all__ = ("Owner", "loaded", "owner", "shown_registers")


@dataclass(frozen=True)
class Owner:
    """The task whose registers a CPU loaded last.

    `variable` is the name of the per-CPU pointer that says so, `points_to` the type of the object
    that it points to, `address` its value (0: nobody). `offset` is the number of bytes from a
    task_struct to that object.
    """

    variable: str
    points_to: str
    address: int
    offset: int

    @property
    def task(self) -> int:
        """Return the address of the owner's task_struct, 0 for nobody; the task may have ended."""
        return self.address - self.offset if self.address else 0

    def pointer_to(self, task: int) -> int:
        """Return the variable's value when the task_struct at `task` is the owner."""
        return task + self.offset


def owner(model: FpuModel, cpu: int) -> Owner | None:
    """Return whose registers CPU number `cpu` holds, None if this kernel does not say.

    Since 4.2 fpu_fpregs_owner_ctx points to a struct fpu. Up to 4.1 fpu_owner_task points to a
    task_struct. Raises MemoryFault.
    """
    for variable, points_to, offset in (
        ("fpu_fpregs_owner_ctx", "struct fpu", model.fpu_offset),
        ("fpu_owner_task", "task_struct", 0),
    ):
        if model.kernel.target.symbol_address(variable) is not None:
            address = read_u64(model.kernel.target, model.kernel.per_cpu(variable, cpu))
            return Owner(variable, points_to, address, offset)
    return None


def loaded(model: FpuModel, task: int, cpu: int | None) -> bool:
    """Return whether CPU number `cpu`, which runs the task_struct at `task`, has its registers.

    It may have those of kernel code or of a KVM guest instead. None stands for no CPU. Raises
    MemoryFault.
    """
    if cpu is None or model.kernel_use(cpu)[0] or model.holds_guest(model.fpu_of(task)):
        return False
    return model.live(task)


def shown_registers(model: FpuModel, cpu: int) -> dict[str, bytes]:
    """Return the FPU registers in CPU number `cpu`, empty if the stub shows none.

    Names and bytes are as `Machine.fpu_registers` returns them.
    """
    machine = model.kernel.target.machine
    return machine.fpu_registers(cpu) if machine is not None else {}
