# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue of FPU functions worth a breakpoint, by what the kernel does in them.

A job is done by other functions in other kernels; presence of the symbol decides which, never
a version number. Releases stand here for people to read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gdbfpu.errors import MissingSymbol, UsageError
from gdbfpu.target import Target

__all__ = ("CATALOGUE", "FRAME_ARGUMENTS", "GROUPS", "Probe", "select", "unavailable")

FRAME_ARGUMENTS = {"fpu__restore_sig": "rdi"}
"""Functions at whose entry a user signal frame is whole, and the register that points to it."""

_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")  # System V AMD64 ABI


@dataclass(frozen=True)
class Probe:
    """A kernel function to break on.

    `group` and `purpose` tell its job; functions of one job have the same of both. `subject`
    says whose FPU state a call is about: `current` for the running task's; `fpu` or `task`
    when `register` holds a `struct fpu *` or a `struct task_struct *`; `typed` when that
    differs between kernels and the function's declaration has to tell. `parameters` is how many
    arguments it takes. `default` probes are traced when none is asked for.
    """

    function: str
    group: str
    purpose: str
    subject: str
    parameters: int
    since: str
    until: str | None = None
    default: bool = False
    register: str = "rdi"

    @property
    def registers(self) -> tuple[str, ...]:
        """Return the registers that hold the arguments when the function begins."""
        return _ARGUMENTS[: self.parameters]


def _job(
    group: str, purpose: str, *functions: tuple[str, str, int, str, str], default: bool = False
) -> tuple[Probe, ...]:
    return tuple(
        Probe(name, group, purpose, subject, parameters, since, until or None, default)
        for name, subject, parameters, since, until in functions
    )


CATALOGUE: tuple[Probe, ...] = (
    *_job(
        "signal",
        "saves the state to a signal frame",
        ("copy_fpstate_to_sigframe", "current", 3, "4.2", ""),
        ("save_xstate_sig", "current", 3, "3.7", "4.1"),
        default=True,
    ),
    *_job(
        "signal",
        "cleans initial components on their way to user space",
        ("copy_xstate_to_uabi_buf", "typed", 4, "5.14", ""),
        ("fpstate_sanitize_xstate", "fpu", 1, "4.2", "5.13"),
        ("__sanitize_i387_state", "task", 1, "2.6.35", "4.1"),
        default=True,
    ),
    *_job(
        "signal",
        "restores the state from a signal frame",
        ("fpu__restore_sig", "current", 2, "4.2", ""),
        ("__restore_xstate_sig", "current", 3, "3.7", "4.1"),
    ),
    *_job(
        "signal",
        "resets the state for a signal handler",
        ("fpu__clear_user_states", "typed", 1, "5.8", ""),
    ),
    *_job(
        "switch",
        "saves the state when a task leaves a CPU",
        ("save_fpregs_to_fpstate", "typed", 1, "5.14", ""),
        ("copy_fpregs_to_fpstate", "typed", 1, "5.3", "5.13"),
        ("__switch_to", "typed", 2, "2.6", ""),
    ),
    *_job(
        "switch",
        "loads the registers before a return to user mode",
        ("switch_fpu_return", "current", 0, "5.2", ""),
    ),
    *_job(
        "switch",
        "#NM: lazy restore, or a dynamic feature's first use",
        ("exc_device_not_available", "current", 1, "5.8", ""),
        ("do_device_not_available", "current", 2, "2.6", "5.7"),
        ("math_state_restore", "current", 0, "2.6", "4.1"),
    ),
    *_job(
        "task",
        "copies the state at fork",
        ("fpu_clone", "typed", 4, "5.14", ""),
        ("fpu__copy", "typed", 2, "4.2", "5.13"),
        ("arch_dup_task_struct", "typed", 2, "2.6", ""),
    ),
    *_job(
        "task",
        "resets the state at exec",
        ("fpu_flush_thread", "current", 0, "5.14", ""),
        ("fpu__clear_all", "typed", 1, "5.8", "5.13"),
        ("fpu__clear", "typed", 1, "4.2", "5.7"),
        ("flush_thread", "current", 0, "2.6", ""),
    ),
    *_job(
        "task",
        "drops the state at exit",
        ("fpu__drop", "typed", 1, "4.2", ""),
        ("exit_thread", "typed", 1, "2.6", ""),
    ),
    *_job("ptrace", "reads NT_PRFPREG of a 32-bit task", ("fpregs_get", "typed", 6, "2.6.25", "")),
    *_job("ptrace", "writes NT_PRFPREG of a 32-bit task", ("fpregs_set", "typed", 6, "2.6.25", "")),
    *_job("ptrace", "reads NT_PRFPREG", ("xfpregs_get", "typed", 6, "2.6.25", "")),
    *_job("ptrace", "writes NT_PRFPREG", ("xfpregs_set", "typed", 6, "2.6.25", "")),
    *_job("ptrace", "reads NT_X86_XSTATE", ("xstateregs_get", "typed", 6, "2.6.35", "")),
    *_job("ptrace", "writes NT_X86_XSTATE", ("xstateregs_set", "typed", 6, "2.6.35", "")),
    *_job("ptrace", "reads NT_X86_SHSTK", ("ssp_get", "typed", 3, "6.6", "")),
    *_job("ptrace", "writes NT_X86_SHSTK", ("ssp_set", "typed", 6, "6.6", "")),
    *_job(
        "ptrace",
        "writes the FPU notes of a core dump",
        ("elf_coredump_extra_notes_write", "current", 1, "6.12", ""),
        ("dump_fpu", "current", 2, "2.6", "5.9"),
    ),
    *_job(
        "kernel",
        "kernel code takes the FPU",
        ("kernel_fpu_begin_mask", "current", 1, "5.11", ""),
        ("kernel_fpu_begin", "current", 0, "4.2", "5.10"),
        ("__kernel_fpu_begin", "current", 0, "3.10", "4.9"),
    ),
    *_job(
        "kernel",
        "kernel code gives the FPU back",
        ("kernel_fpu_end", "current", 0, "4.2", ""),
        ("__kernel_fpu_end", "current", 0, "3.10", "4.9"),
    ),
    *_job(
        "xfd",
        "enables a dynamic feature (AMX) for a task",
        ("__xfd_enable_feature", "current", 2, "5.17", ""),
        ("xfd_enable_feature", "current", 1, "5.16", ""),
    ),
    *_job(
        "kvm",
        "swaps guest and host state",
        ("fpu_swap_kvm_fpstate", "current", 2, "5.16", ""),
        ("kvm_load_guest_fpu", "current", 1, "2.6", "5.15"),
    ),
    *_job(
        "fault",
        "resets a state that the CPU refuses to load",
        ("fpu_reset_from_exception_fixup", "current", 0, "5.16", ""),
        ("ex_handler_fprestore", "current", 4, "4.14", "5.15"),
    ),
)

GROUPS = tuple(dict.fromkeys(probe.group for probe in CATALOGUE))
"""The groups of probes, as `--group` takes them."""


def select(
    target: Target, names: Iterable[str] = (), groups: Iterable[str] = ()
) -> tuple[tuple[Probe, int], ...]:
    """Return the probes called `names`, and of each job in `groups` the kernel's newest function.

    With neither, the default ones. Each comes with its function's address. Raises UsageError
    for a name that is not in the catalogue, MissingSymbol for a function that this kernel does
    not have, or when it has none of all those.
    """
    known = {probe.function: probe for probe in CATALOGUE}
    wanted = [_named(known, name) for name in dict.fromkeys(names)]
    jobs: dict[tuple[str, str], Probe] = {}
    asked = set(groups)
    for probe in CATALOGUE:
        fits = probe.group in asked or (probe.default and not wanted and not asked)
        there = target.symbol_address(probe.function) is not None
        if fits and there and not _refused(target, probe):
            jobs.setdefault((probe.group, probe.purpose), probe)
    found = {probe.function: _resolved(target, probe) for probe in (*wanted, *jobs.values())}
    if not found:
        raise MissingSymbol(CATALOGUE[0].function)
    return tuple(found.values())


def unavailable(target: Target, probe: Probe) -> str:
    """Return why `probe` cannot be planted in this kernel and what serves instead, `` if it can."""
    address = target.symbol_address(probe.function)
    if address is None:
        twins = (p.function for p in CATALOGUE if p.purpose == probe.purpose)
        serving = [name for name in twins if target.symbol_address(name) is not None]
        inlined = target.inlined_copies(probe.function)
        why = "not in this kernel"
        if inlined:
            why = f"inlined at {', '.join(f'{place:#x}' for place in inlined)}"
        return f"{why}; {' and '.join(serving)} there" if serving else why
    return _refused(target, probe)


def _refused(target: Target, probe: Probe) -> str:
    """Return why KGDB would not plant `probe` (CONFIG_KGDB_HONOUR_BLOCKLIST), `` if it would."""
    bounds = [target.symbol_address(f"__noinstr_text_{end}") for end in ("start", "end")]
    address, (start, end) = target.symbol_address(probe.function), bounds
    if not target.stub.in_kernel or address is None or start is None or end is None:
        return ""
    return "noinstr: KGDB refuses breakpoints there" if start <= address < end else ""


def _named(known: dict[str, Probe], name: str) -> Probe:
    if name not in known:
        raise UsageError(f"no probe is called {name!r}; there are: {', '.join(sorted(known))}")
    return known[name]


def _resolved(target: Target, probe: Probe) -> tuple[Probe, int]:
    """Return `probe` with its subject as this kernel declares it, and its address."""
    address = target.symbol_address(probe.function)
    if address is None:
        raise MissingSymbol(probe.function)
    refused = _refused(target, probe)
    if refused:
        raise UsageError(f"{probe.function} cannot be probed: {refused}")
    if probe.subject != "typed":
        return probe, address
    register, subject = target.task_argument(probe.function) or ("rdi", "current")
    return replace(probe, register=register, subject=subject), address
