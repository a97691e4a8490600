# SPDX-License-Identifier: GPL-2.0-or-later
"""How this kernel and its CPUs handle the FPU, and where each value was read from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gdbfpu.errors import GdbFpuError, MemoryFault, NoAnswer
from gdbfpu.fpu.model import FpuModel
from gdbfpu.fpu.registers import CR0_EM, CR0_TS, Owner, answers, cr0_of, owner, ts_clash
from gdbfpu.fpu.xstate import LAZY_COUNTERS
from gdbfpu.kernel.cpuinfo import XSAVEC, XSAVEOPT, XSAVES, cpu_has
from gdbfpu.kernel.tasks import Task
from gdbfpu.target import Answers
from gdbfpu.xsave import features

__all__ = ("Fact", "facts")

_INSTRUCTIONS = (("XSAVES", XSAVES), ("XSAVEC", XSAVEC), ("XSAVEOPT", XSAVEOPT))  # best first


@dataclass(frozen=True)
class Fact:
    """One line: `item`, its `value` as text, and `source`, where the value was read."""

    item: str
    value: str
    source: str


def facts(model: FpuModel, build_id: str) -> tuple[Fact, ...]:
    """Return the facts about the kernel and each CPU. The text of an unreadable value says so."""
    found = [*_kernel(model, build_id), *_xstate(model)]
    for cpu in model.kernel.online_cpus():
        found += _cpu(model, cpu)
    return tuple(found)


def _kernel(model: FpuModel, build_id: str) -> Iterator[Fact]:
    kernel = model.kernel
    yield Fact("kernel", kernel.banner(), "linux_banner")
    yield Fact("build-id", build_id or "none", "__start_notes, the same as in vmlinux")
    yield Fact("stub", kernel.target.stub.name, "the registers that it shows")
    yield Fact("KASLR offset", f"{kernel.target.slide:#x}", "where the build-id was found")
    yield Fact("struct fpu", model.variant, f"members in {kernel.layouts.origin}")
    yield Fact("switching", model.switching, _switching_source(model))
    if not model.live_flag:
        yield Fact("TIF_NEED_FPU_LOAD", f"bit {model.tif}", "thread_info.flags of sleeping tasks")


def _switching_source(model: FpuModel) -> str:
    if any(model.kernel.layouts.find(*place) for place in LAZY_COUNTERS):
        return "X86_FEATURE_EAGER_FPU in boot_cpu_data"
    return "struct fpu has no use counter, so switching is eager"


def _xstate(model: FpuModel) -> Iterator[Fact]:
    xstate = model.xstate
    user = xstate.mask & ~features.SUPERVISOR
    yield Fact("save instruction", *_instruction(model))
    yield Fact("format", xstate.format, "xcomp_bv of init_fpstate")
    yield Fact("size", f"{xstate.size} bytes", "fpu_kernel_cfg, or xstate_size and its successors")
    yield Fact(
        "features", f"{xstate.mask:#x} {features.describe(xstate.mask)}", _mask_source(model)
    )
    yield Fact("user features", f"{user:#x} {features.describe(user)}", "features enabled in XCR0")
    supervisor = xstate.mask & features.SUPERVISOR
    yield Fact(
        "supervisor features",
        f"{supervisor:#x} {features.describe(supervisor)}",
        "features enabled in IA32_XSS",
    )
    yield from _guests(model)


def _guests(model: FpuModel) -> Iterator[Fact]:
    """Yield what a KVM guest's state has, if the kernel has a variable for this.

    If the kernel leaves APX out of it, KVM itself keeps a guest's r16 to r31.
    """
    if model.kernel.target.symbol_address("guest_default_cfg") is None:
        return
    mask = model.xstate.guest_mask
    text = f"{mask:#x} {features.describe(mask)}"
    if model.xstate.mask & ~mask & 1 << features.APX:
        text += "; KVM itself keeps r16 to r31"
    yield Fact("guest features", text, "guest_default_cfg")


def _mask_source(model: FpuModel) -> str:
    for name in ("fpu_kernel_cfg", "xfeatures_mask_all", "xfeatures_mask"):
        if model.kernel.target.symbol_address(name) is not None:
            return name
    return "pcntxt_mask"


def _instruction(model: FpuModel) -> tuple[str, str]:
    """Return the instruction that saves a task's state, and how we know.

    The kernel uses the best one that boot_cpu_data lists; XSAVES and XSAVEC only with the
    compacted format.
    """
    if model.format == "fxsave":
        return "FXSAVE", "XSAVE has no component enabled"
    for name, feature in _INSTRUCTIONS:
        there = cpu_has(model.kernel, feature)
        if there is None:
            return "XSAVE or better", "boot_cpu_data is missing"
        if there and (feature == XSAVEOPT or model.format == "compacted"):
            return name, "boot_cpu_data.x86_capability and the format"
    return "XSAVE", "boot_cpu_data.x86_capability and the format"


def _cpu(model: FpuModel, cpu: int) -> Iterator[Fact]:
    kernel, name = model.kernel, f"CPU {cpu}"
    address, (taken, variable) = kernel.current_task(cpu), model.kernel_use(cpu)
    try:
        task = kernel.task(address)
        yield Fact(f"{name} runs", f"{task.comm} (pid {task.pid})", "current_task")
        yield Fact(f"{name} registers", *_registers(model, task, variable if taken else ""))
    except MemoryFault as error:
        yield Fact(f"{name} runs", str(error), "current_task")
    yield Fact(f"{name} owner", *_owner(model, cpu))
    if variable:
        yield Fact(f"{name} kernel use", "yes" if taken else "no", variable)
    cr0 = cr0_of(model, cpu)
    if cr0 is not None:
        value = f"TS {int(bool(cr0 & CR0_TS))}, EM {int(bool(cr0 & CR0_EM))}"
        told = answers(model, cpu)
        yield Fact(
            f"{name} CR0", value + _differs(model, cpu, cr0), "the CPU" if told else "the stub"
        )
        yield from _asked(name, told) if told else ()


def _differs(model: FpuModel, cpu: int, cr0: int) -> str:
    """Return what to add to CR0 if the kernel's word on CPU number `cpu` differs from CR0.TS."""
    clash = ts_clash(model, cpu, cr0)
    return f"; the kernel says something else: {clash}" if clash else ""


def _asked(name: str, told: Answers) -> Iterator[Fact]:
    """Yield the other registers that the CPU called `name` has told."""
    for register, value in told.control.items():
        if register != "cr0":
            yield Fact(f"{name} {register.upper()}", f"{value:#x}", "the CPU")
    if told.xcr0_size:
        what = f"{told.xcr0_size} bytes for the components in XCR0"
        yield Fact(f"{name} CPUID.(0xD,0)", what, "the CPU")


def _registers(model: FpuModel, task: Task, taken: str) -> tuple[str, str]:
    """Return whose registers are in the CPU that runs `task`, and how we know.

    `taken` names the variable that says that kernel code uses the FPU. It is empty if kernel code
    does not use the FPU. The flags of struct fpu do not show this use.
    """
    if taken:
        return "not loaded: kernel code uses the FPU", taken
    if task.kthread:
        return "another task's, or nobody's: a kernel thread has none", "task_struct.flags"
    loaded = model.live(task.address)
    flag = model.live_flag
    return (
        "loaded: the CPU holds this task's" if loaded else "not loaded: memory holds this task's",
        f"fpu.{flag}" if flag else "TIF_NEED_FPU_LOAD",
    )


def _owner(model: FpuModel, cpu: int) -> tuple[str, str]:
    """Return the task whose registers the CPU loaded last, and the variable that says so."""
    found = owner(model, cpu)
    if found is None:
        return "unknown: this kernel has no such variable", "fpu_fpregs_owner_ctx"
    return _name(model, found) if found.address else "nobody", found.variable


def _name(model: FpuModel, found: Owner) -> str:
    place = f"{found.points_to} {found.address:#x}"
    try:
        for task in model.kernel.tasks():
            if task.address == found.task:
                return f"{task.comm} (pid {task.pid})"
    except NoAnswer:
        raise
    except GdbFpuError as error:
        return f"{place}; {error}"
    return f"{place}, which belongs to no living task"
