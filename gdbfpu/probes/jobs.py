# SPDX-License-Identifier: GPL-2.0-or-later
"""The jobs of the kernel's FPU functions. Kernels differ in which function does a job."""

from __future__ import annotations

from enum import Enum, unique

__all__ = ("GROUPS", "Job")


@unique
class Job(Enum):
    """What a function does with FPU state.

    `group` is the name for `--group`; `purpose` tells people what the function does.
    """

    group: str
    purpose: str

    def __init__(self, group: str, purpose: str) -> None:
        self.group = group
        self.purpose = purpose

    SAVE_FRAME = ("signal", "saves the state to a signal frame")
    SANITIZE = ("signal", "cleans initial components on their way to user space")
    SIGRETURN = ("signal", "restores the state from a signal frame")
    RESET_FOR_HANDLER = ("signal", "resets the state for a signal handler")
    SWITCH_OUT = ("switch", "saves the state when a task leaves a CPU")
    SWITCH_IN = ("switch", "loads the registers before a return to user mode")
    LOAD = ("load", "loads registers from memory")
    DEVICE_NOT_AVAILABLE = ("switch", "#NM: lazy restore, or a dynamic feature's first use")
    FORK = ("task", "copies the state at fork")
    EXEC = ("task", "resets the state at exec")
    EXIT = ("task", "drops the state at exit")
    RESET_BUFFER = ("task", "gives a task its own buffer, of the default size")
    GET_PRFPREG32 = ("ptrace", "reads NT_PRFPREG of a 32-bit task")
    SET_PRFPREG32 = ("ptrace", "writes NT_PRFPREG of a 32-bit task")
    GET_PRFPREG = ("ptrace", "reads NT_PRFPREG")
    SET_PRFPREG = ("ptrace", "writes NT_PRFPREG")
    GET_XSTATE = ("ptrace", "reads NT_X86_XSTATE")
    SET_XSTATE = ("ptrace", "writes NT_X86_XSTATE")
    GET_SHSTK = ("ptrace", "reads NT_X86_SHSTK")
    SET_SHSTK = ("ptrace", "writes NT_X86_SHSTK")
    CORE_DUMP = ("ptrace", "writes the FPU notes of a core dump")
    KERNEL_BEGIN = ("kernel", "kernel code takes the FPU")
    KERNEL_END = ("kernel", "kernel code gives the FPU back")
    REFUSE_KERNEL = ("refused", "kernel code may not take the FPU now")
    ENABLE_XFD = ("xfd", "enables a dynamic feature (AMX) for a task")
    REQUEST_FEATURE = ("xfd", "arch_prctl: asks for dynamic features, or permits them")
    SWAP_GUEST = ("kvm", "swaps guest and host state")
    SET_GUEST_XFD = ("kvm", "sets a guest's IA32_XFD")
    SYNC_GUEST_XFD = ("kvm", "reads a guest's IA32_XFD after the guest ran")
    GET_GUEST = ("kvm", "copies a guest's state to user space")
    SET_GUEST = ("kvm", "takes a guest's state from user space")
    IDLE = ("cpu", "initialises AMX before a CPU idles deeply")
    RESUME_CPU = ("cpu", "sets up a CPU's FPU after suspend")
    FAULT = ("fault", "resets a state that the CPU refuses to load")


GROUPS = tuple(dict.fromkeys(job.group for job in Job))
"""The groups of jobs, as `--group` takes them."""
