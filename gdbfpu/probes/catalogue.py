# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's FPU functions that are worth a breakpoint, by the job that they do.

Kernels differ in which function does a job. The kernel's symbols decide, never its version number.
The releases in this file are for people.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gdbfpu.errors import MissingSymbol, UsageError
from gdbfpu.probes.jobs import Job
from gdbfpu.target import Machine

__all__ = ("CATALOGUE", "FRAME_ARGUMENTS", "Probe", "select", "unavailable")

FRAME_ARGUMENTS = {"fpu__restore_sig": "rdi"}
"""The functions that get a pointer to a whole signal frame, each with the pointer's register."""

_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")  # System V AMD64 ABI


@dataclass(frozen=True)
class Probe:
    """A kernel function to break on.

    `subject` says whose FPU state a call is about. `current` is the running task's; `fpu` and
    `task` mean that `register` holds a `struct fpu *` or a `struct task_struct *`; `typed` means
    that kernels differ, and that the function's declaration decides. `parameters` is the number
    of arguments. `on_copy` means that the function works on a copy of the state, which is not
    audited. `on_raw` means that the task is memory that was not initialised when the function
    begins. `default` probes are traced if the user names none. With `refusal` the probe is where
    the function returns, and only a call that returns false counts.
    """

    function: str
    job: Job
    subject: str
    parameters: int
    since: str
    until: str | None = None
    on_copy: bool = False
    default: bool = False
    on_raw: bool = False
    register: str = "rdi"
    refusal: bool = False

    @property
    def registers(self) -> tuple[str, ...]:
        """Return the registers that hold the arguments when the function begins."""
        return _ARGUMENTS[: self.parameters]


def _probes(
    job: Job,
    *functions: tuple[str, str, int, str, str],
    on_copy: bool = False,
    on_raw: bool = False,
    default: bool = False,
    refusal: bool = False,
) -> tuple[Probe, ...]:
    return tuple(
        Probe(
            *(name, job, subject, parameters, since, until or None),
            on_copy=on_copy,
            on_raw=on_raw,
            default=default,
            refusal=refusal,
        )
        for name, subject, parameters, since, until in functions
    )


CATALOGUE: tuple[Probe, ...] = (
    *_probes(
        Job.SAVE_FRAME,
        ("copy_fpstate_to_sigframe", "current", 3, "4.2", ""),
        ("save_xstate_sig", "current", 3, "3.7", "4.1"),
        default=True,
    ),
    *_probes(
        Job.SANITIZE,
        ("copy_xstate_to_uabi_buf", "typed", 4, "5.14", ""),
        on_copy=True,
        default=True,
    ),
    *_probes(
        Job.SANITIZE,
        ("fpstate_sanitize_xstate", "fpu", 1, "4.2", "5.13"),
        ("__sanitize_i387_state", "task", 1, "2.6.35", "4.1"),
        default=True,
    ),
    *_probes(
        Job.SIGRETURN,
        ("fpu__restore_sig", "current", 2, "4.2", ""),
        ("__restore_xstate_sig", "current", 3, "3.7", "4.1"),
    ),
    *_probes(
        Job.RESET_FOR_HANDLER,
        ("fpu__clear_user_states", "typed", 1, "5.8", ""),
    ),
    *_probes(
        Job.SWITCH_OUT,
        ("save_fpregs_to_fpstate", "typed", 1, "5.14", ""),
        ("copy_fpregs_to_fpstate", "typed", 1, "5.3", "5.13"),
        ("__switch_to", "typed", 2, "2.6", ""),
    ),
    *_probes(
        Job.SWITCH_IN,
        ("switch_fpu_return", "current", 0, "5.2", ""),
    ),
    *_probes(
        Job.LOAD,
        ("restore_fpregs_from_fpstate", "current", 2, "5.16", ""),
        ("__restore_fpregs_from_fpstate", "current", 2, "5.14", "5.15"),
    ),
    *_probes(
        Job.DEVICE_NOT_AVAILABLE,
        ("exc_device_not_available", "current", 1, "5.8", ""),
        ("do_device_not_available", "current", 2, "2.6", "5.7"),
        ("math_state_restore", "current", 0, "2.6", "4.1"),
    ),
    *_probes(
        Job.FORK,
        ("fpu_clone", "typed", 4, "5.14", ""),
        ("fpu__copy", "typed", 2, "4.2", "5.13"),
    ),
    *_probes(Job.FORK, ("arch_dup_task_struct", "typed", 2, "2.6", ""), on_raw=True),
    *_probes(
        Job.EXEC,
        ("fpu_flush_thread", "current", 0, "5.14", ""),
        ("fpu__clear_all", "typed", 1, "5.8", "5.13"),
        ("fpu__clear", "typed", 1, "4.2", "5.7"),
        ("flush_thread", "current", 0, "2.6", ""),
    ),
    *_probes(
        Job.EXIT,
        ("fpu__drop", "typed", 1, "4.2", ""),
        ("exit_thread", "typed", 1, "2.6", ""),
    ),
    *_probes(Job.RESET_BUFFER, ("fpstate_reset", "typed", 1, "5.16", "")),
    *_probes(Job.GET_PRFPREG32, ("fpregs_get", "typed", 6, "2.6.25", "")),
    *_probes(Job.SET_PRFPREG32, ("fpregs_set", "typed", 6, "2.6.25", "")),
    *_probes(Job.GET_PRFPREG, ("xfpregs_get", "typed", 6, "2.6.25", "")),
    *_probes(Job.SET_PRFPREG, ("xfpregs_set", "typed", 6, "2.6.25", "")),
    *_probes(Job.GET_XSTATE, ("xstateregs_get", "typed", 6, "2.6.35", "")),
    *_probes(Job.SET_XSTATE, ("xstateregs_set", "typed", 6, "2.6.35", "")),
    *_probes(Job.GET_SHSTK, ("ssp_get", "typed", 3, "6.6", "")),
    *_probes(Job.SET_SHSTK, ("ssp_set", "typed", 6, "6.6", "")),
    *_probes(
        Job.CORE_DUMP,
        ("elf_coredump_extra_notes_write", "current", 1, "6.12", ""),
        ("dump_fpu", "current", 2, "2.6", "5.9"),
    ),
    *_probes(
        Job.KERNEL_BEGIN,
        ("kernel_fpu_begin_mask", "current", 1, "5.11", ""),
        ("kernel_fpu_begin", "current", 0, "4.2", "5.10"),
        ("__kernel_fpu_begin", "current", 0, "3.10", "4.9"),
    ),
    *_probes(
        Job.KERNEL_END,
        ("kernel_fpu_end", "current", 0, "4.2", ""),
        ("__kernel_fpu_end", "current", 0, "3.10", "4.9"),
    ),
    *_probes(Job.REFUSE_KERNEL, ("irq_fpu_usable", "current", 0, "3.3", ""), refusal=True),
    *_probes(
        Job.ENABLE_XFD,
        ("__xfd_enable_feature", "current", 2, "5.17", ""),
        ("xfd_enable_feature", "current", 1, "5.16", ""),
    ),
    *_probes(Job.REQUEST_FEATURE, ("fpu_xstate_prctl", "typed", 3, "5.16", "")),
    *_probes(
        Job.SWAP_GUEST,
        ("fpu_swap_kvm_fpstate", "current", 2, "5.16", ""),
        ("kvm_load_guest_fpu", "current", 1, "2.6", "5.15"),
    ),
    *_probes(Job.SET_GUEST_XFD, ("fpu_update_guest_xfd", "current", 2, "5.17", "")),
    *_probes(Job.SYNC_GUEST_XFD, ("fpu_sync_guest_vmexit_xfd_state", "current", 0, "5.17", "")),
    *_probes(Job.GET_GUEST, ("fpu_copy_guest_fpstate_to_uabi", "current", 5, "5.16", "")),
    *_probes(Job.SET_GUEST, ("fpu_copy_uabi_to_guest_fpstate", "current", 4, "5.16", "")),
    *_probes(Job.IDLE, ("fpu_idle_fpregs", "current", 0, "6.0", "")),
    *_probes(Job.RESUME_CPU, ("fpu__resume_cpu", "current", 0, "4.2", "")),
    *_probes(
        Job.FAULT,
        ("fpu_reset_from_exception_fixup", "current", 0, "5.16", ""),
        ("ex_handler_fprestore", "current", 4, "4.14", "5.15"),
    ),
)
"""The functions that can be probed, those of a job together."""


def select(
    target: Machine, names: Iterable[str] = (), groups: Iterable[str] = ()
) -> tuple[tuple[Probe, int], ...]:
    """Return the probes to plant, each with the address of its function.

    These are the probes called `names` and, for each job in `groups`, the newest function that
    this kernel has; the default probes if both are empty. Raises UsageError for a name that is
    not in the catalogue or that KGDB refuses, MissingSymbol if this kernel lacks a named function
    or has no function to probe at all.
    """
    known = {probe.function: probe for probe in CATALOGUE}
    wanted = [_named(known, name) for name in dict.fromkeys(names)]
    jobs: dict[Job, Probe] = {}
    asked = set(groups)
    for probe in CATALOGUE:
        fits = probe.job.group in asked or (probe.default and not wanted and not asked)
        exists = target.symbol_address(probe.function) is not None
        if fits and exists and not _refusal(target, probe):
            jobs.setdefault(probe.job, probe)
    found = {probe.function: _resolved(target, probe) for probe in (*wanted, *jobs.values())}
    if not found:
        raise MissingSymbol(CATALOGUE[0].function)
    return tuple(found.values())


def unavailable(target: Machine, probe: Probe) -> str:
    """Return why `probe` cannot be planted and what to use instead, or `` if it can be planted."""
    address = target.symbol_address(probe.function)
    if address is None:
        others = (p.function for p in CATALOGUE if p.job is probe.job)
        present = [name for name in others if target.symbol_address(name) is not None]
        inlined = target.inlined_copies(probe.function)
        why = "not in this kernel"
        if inlined:
            why = f"inlined at {', '.join(f'{place:#x}' for place in inlined)}"
        return f"{why}; use {' or '.join(present)}" if present else why
    return _refusal(target, probe)


def _refusal(target: Machine, probe: Probe) -> str:
    """Return why KGDB refuses `probe` (CONFIG_KGDB_HONOUR_BLOCKLIST), or `` if it does not."""
    bounds = [target.symbol_address(f"__noinstr_text_{end}") for end in ("start", "end")]
    address, (start, end) = target.symbol_address(probe.function), bounds
    if not target.stub.in_kernel or address is None or start is None or end is None:
        return ""
    return "noinstr: KGDB refuses breakpoints there" if start <= address < end else ""


def _named(known: dict[str, Probe], name: str) -> Probe:
    if name not in known:
        raise UsageError(f"no probe is called {name!r}; there are: {', '.join(sorted(known))}")
    return known[name]


def _resolved(target: Machine, probe: Probe) -> tuple[Probe, int]:
    """Return `probe` with the subject that this kernel declares, and its address."""
    address = target.symbol_address(probe.function)
    if address is None:
        raise MissingSymbol(probe.function)
    refused = _refusal(target, probe)
    if refused:
        raise UsageError(f"{probe.function} cannot be probed: {refused}")
    if probe.subject != "typed":
        return probe, address
    register, subject = target.task_argument(probe.function) or ("rdi", "current")
    return replace(probe, register=register, subject=subject), address
