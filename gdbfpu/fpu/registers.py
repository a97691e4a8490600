# SPDX-License-Identifier: GPL-2.0-or-later
"""The registers of a CPU: which task owns them, and which of them the stub shows."""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.fpu.model import FpuModel
from gdbfpu.target import Answers, read_u64
from gdbfpu.xsave.area import Span, in_use, parse_header
from gdbfpu.xsave.live import overlaid

__all__ = (
    "CR0_EM",
    "CR0_TS",
    "CR4_OSXSAVE",
    "Owner",
    "answers",
    "cr0_of",
    "live_bytes",
    "loaded",
    "own_task",
    "owner",
    "shown_registers",
    "ts_clash",
)

CR0_EM, CR0_TS = 1 << 2, 1 << 3
"""In CR0: there is no x87 unit; an FPU instruction raises #NM (Intel SDM volume 3, 2.5)."""

CR4_OSXSAVE = 1 << 18
"""In CR4: the kernel has enabled XSAVE."""


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


def own_task(model: FpuModel, cpu: int) -> int | None:
    """Return the address of the task_struct that CPU number `cpu` runs and has the registers of.

    Returns None if it has not; a kernel thread has none. Raises MemoryFault.
    """
    task = model.kernel.task(model.kernel.current_task(cpu))
    mine = not task.kthread and loaded(model, task.address, cpu)
    return task.address if mine else None


def shown_registers(model: FpuModel, cpu: int) -> dict[str, bytes]:
    """Return the FPU registers in CPU number `cpu`, empty if the stub shows none.

    Names and bytes are as `Machine.fpu_registers` returns them.
    """
    machine = model.kernel.target.machine
    return machine.fpu_registers(cpu) if machine is not None else {}


def answers(model: FpuModel, cpu: int | None) -> Answers | None:
    """Return what CPU number `cpu` answered, None if it was not asked."""
    machine = model.kernel.target.machine
    found = machine.answers if machine is not None else None
    return found if found is not None and found.cpu == cpu else None


def cr0_of(model: FpuModel, cpu: int) -> int | None:
    """Return CR0 (u64) of CPU number `cpu`, None if neither the stub nor the CPU tells it."""
    told, machine = answers(model, cpu), model.kernel.target.machine
    if told is not None:
        return told.control["cr0"]
    return machine.control_register(cpu, "cr0") if machine is not None else None


def live_bytes(model: FpuModel, cpu: int, span: Span) -> bytes:
    """Return an image up to the end of `span` with the component there as CPU number `cpu` has it.

    What neither the stub nor the CPU itself shows is 0. So is a component that the CPU did not
    write, because it is initial.
    """
    told = answers(model, cpu)
    if told is None or not told.image:
        return overlaid(bytes(span.end), (span,), shown_registers(model, cpu))
    own = next((s for s in model.spans(told.image) if s.number == span.number), None)
    data = own.bytes_of(told.image) if own is not None else None
    if data is None or (model.format != "fxsave" and not _wrote(told.image, span.number)):
        return bytes(span.end)
    return bytes(span.offset) + data


def _wrote(image: bytes, number: int) -> bool:
    return bool(in_use(parse_header(image)) >> number & 1)


def ts_clash(model: FpuModel, cpu: int, cr0: int) -> str:
    """Return how `cr0` of CPU number `cpu` contradicts the kernel's word, `` if it does not.

    With CR0.TS, no registers may count as loaded. Under lazy switching, TS is set unless a task's
    registers are loaded or kernel code uses the FPU. Raises MemoryFault.
    """
    kernel, is_set = model.kernel, bool(cr0 & CR0_TS)
    if own_task(model, cpu) is not None:
        return "CR0.TS is set, but the task's registers count as loaded" if is_set else ""
    if is_set or model.switching != "lazy" or model.kernel_use(cpu)[0]:
        return ""
    if kernel.task(kernel.current_task(cpu)).kthread:
        return ""
    return "CR0.TS is clear, but the task's registers do not count as loaded"
