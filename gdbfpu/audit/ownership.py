# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules on who owns a CPU's registers: flags, the owner pointer, the last CPU, lazy switching.

The rules hold for running tasks. The owner pointers of any number of CPUs may point to a sleeping
task. Only the pointer of the task's last CPU means something. The kernel checks this when the task
runs again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gdbfpu.audit.finding import Severity, name_of
from gdbfpu.audit.rule import Defect, Outcome, Scope, rule
from gdbfpu.audit.snapshot import CpuView, Snapshot, TaskView
from gdbfpu.kernel.cpuinfo import INTEL, cpu_vendor

__all__ = ("flags", "kernfpu", "lazyfp", "owner", "twice")

# Macros. PF_EXITING: fpu__drop() gives up the registers of an exiting task and sets no flag.
# PF_USER_WORKER (6.4 on) and PF_IO_WORKER: the kernel does not switch the registers of a worker.
# Kernels before 5.12 have no workers. There, the same bits are PF_USED_ASYNC, which all programs
# inherit from init, and PF_VCPU.
_EXITING = 0x4
_WORKERS = 0x4000 | 0x10
_NM = "the next FPU instruction raises #NM, in the kernel when it saves the registers"
_OPEN = "the task's FPU instructions do not trap: it reads and writes them"
_WORKER_MAKER = "create_io_thread"


@rule(
    "FLAGS",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="The flags of a struct fpu do not contradict each other.",
)
def flags(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for flags of a struct fpu that contradict each other.

    A task's registers can be loaded (`fpregs_active` 4.2 to 4.13, `has_fpu` before) only if the
    task runs and its state is active. Source: switch_fpu_prepare() clears the flag.
    """
    name = next((n for n in ("fpregs_active", "has_fpu") if view.fields.get(n)), "")
    if not name:
        return
    if view.fields.get("fpstate_active") == 0:
        yield _about(
            view,
            f"{name} is set, but fpstate_active is not",
            "the next switch saves registers to a state that is not active",
        )
    if view.cpu is None:
        yield _about(
            view,
            f"{name} is set, but the task does not run",
            "its registers were not saved when it left its CPU, or the next switch will save "
            "another task's registers as its own",
        )


@rule(
    "OWNER",
    scope=Scope.CPU,
    severity=Severity.ERROR,
    invariant="Loaded registers belong to the running task.",
)
def owner(snapshot: Snapshot, cpu: CpuView) -> Iterator[Outcome]:
    """Yield a defect if loaded registers have another owner or another CPU: CVE-2019-19602.

    If registers count as the running task's, fpu_fpregs_owner_ctx points to the task's struct fpu,
    and the task's last_cpu is this CPU (fpregs_state_valid()). CR0.TS is clear then, where it is
    shown.
    """
    view = cpu.view
    if view is None or len(snapshot.cpus_of(view.task)) > 1:  # TWICE reports the latter
        return
    if not view.loaded or cpu.owner is None or _not_switched(snapshot, view):
        return
    expected = cpu.owner.pointer_to(view.task.address)
    why = "the task runs with registers that are not its own"
    if cpu.clash:
        yield _about(view, f"on CPU {cpu.number}, {cpu.clash}", _NM)
    if cpu.owner.address != expected:
        yield _about(
            view,
            f"its registers count as loaded on CPU {cpu.number}, but the "
            f"owner there is {cpu.owner.address:#x}, not {expected:#x}",
            why,
        )
    last = view.fields.get("last_cpu")
    if last is not None and not snapshot.model.live_flag and last != cpu.number:
        yield _about(
            view,
            f"its registers count as loaded on CPU {cpu.number}, but last_cpu is {last}",
            why,
        )


@rule(
    "TWICE",
    scope=Scope.KERNEL,
    severity=Severity.ERROR,
    invariant="No task runs on two CPUs at once.",
)
def twice(snapshot: Snapshot) -> Iterator[Outcome]:
    """Yield a defect for a task that two CPUs claim to run."""
    for task in {view.task for cpu in snapshot.cpus() for view in [cpu.view] if view is not None}:
        cpus = snapshot.cpus_of(task)
        if len(cpus) > 1:
            numbers = " and ".join(map(str, cpus))
            yield _about(
                snapshot.view(task),
                f"CPUs {numbers} run this task at the same time",
                "each CPU will overwrite the registers that the other saves",
            )


@rule(
    "LAZYFP",
    scope=Scope.CPU,
    severity=Severity.WARNING,
    invariant="No Intel CPU keeps another task's registers behind CR0.TS.",
)
def lazyfp(snapshot: Snapshot, cpu: CpuView) -> Iterator[Outcome]:
    """Yield a defect if an Intel CPU keeps another task's registers behind CR0.TS.

    CVE-2018-3665: speculative execution can read them. Source: Intel SA-00145. Where CR0 is shown,
    this also checks that TS is set, on any CPU.
    """
    view = cpu.view
    if snapshot.model.switching != "lazy" or view is None or view.loaded:
        return
    victim = cpu.owner.task if cpu.owner is not None else 0
    if victim in (0, view.task.address):
        return
    intel = cpu_vendor(snapshot.model.kernel) == INTEL
    if not cpu.clash and not intel:
        return
    names = (name_of(task) for task in snapshot.tasks() if task.address == victim)
    whose = next(names, "a task that has ended")
    if cpu.clash:
        read = f"CPU {cpu.number} still holds the registers of {whose}, and {cpu.clash}"
        yield replace(_about(view, read, _OPEN), severity=Severity.ERROR)
        return
    yield _about(
        view,
        f"CPU {cpu.number} still holds the registers of {whose}",
        "with lazy switching, speculative execution can read them (CVE-2018-3665): "
        "boot with eagerfpu=on",
    )


@rule(
    "KERNFPU",
    scope=Scope.CPU,
    severity=Severity.ERROR,
    invariant="While kernel code has the FPU, the task's registers are saved.",
)
def kernfpu(snapshot: Snapshot, cpu: CpuView) -> Iterator[Outcome]:
    """Yield a defect if kernel code has the FPU and the task's registers are not saved.

    kernel_fpu_begin() sets TIF_NEED_FPU_LOAD right after in_kernel_fpu (since 5.2). A CPU in user
    mode cannot be in kernel code that uses the FPU.
    """
    view = cpu.view
    if view is None or not cpu.kernel_use or _not_switched(snapshot, view):
        return
    kernel = snapshot.model.kernel
    if not snapshot.model.live_flag and snapshot.model.live(view.task.address):
        yield _about(
            view,
            f"{cpu.kernel_use} says that kernel code has the FPU of CPU "
            f"{cpu.number}, but TIF_NEED_FPU_LOAD is clear",
            "the task continues with what kernel code left in the registers",
        )
    machine = kernel.target.machine
    pc = machine.register("rip") if machine is not None else None
    if pc is not None and not pc >> 63 and kernel.current()[0] == cpu.number:
        yield _about(
            view,
            f"{cpu.kernel_use} says that kernel code has the FPU of CPU "
            f"{cpu.number}, but that CPU is in user mode",
            "no kernel_fpu_end() followed kernel_fpu_begin()",
        )


def _about(view: TaskView, read: str, why: str) -> Defect:
    """Return a defect in the task's struct fpu."""
    return Defect(view.task, read, view.fpu, why)


def _not_switched(snapshot: Snapshot, view: TaskView) -> bool:
    """Return whether the kernel does not switch the registers of this worker or exiting task."""
    flags = snapshot.integer(view.task.address, "task_struct", "flags") or 0
    mask = _EXITING | _WORKERS if snapshot.has(_WORKER_MAKER) else _EXITING
    return bool(flags & mask)
