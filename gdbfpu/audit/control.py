# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule on control registers and MSRs, which a CPU tells only if it is asked."""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.audit.finding import Severity
from gdbfpu.audit.rule import Defect, Outcome, Scope, Unknown, rule
from gdbfpu.audit.snapshot import CpuView, Snapshot
from gdbfpu.fpu.registers import CR0_EM, CR4_OSXSAVE
from gdbfpu.target import Answers
from gdbfpu.xsave.area import EXTENDED_OFFSET, standard_spans
from gdbfpu.xsave.features import SUPERVISOR, describe

__all__ = ("msr",)

_LEAST = EXTENDED_OFFSET  # bytes of a standard image without extended components
_INDEPENDENT = 1 << 8 | 1 << 15  # PT and LBR, which the kernel does not switch with FPU state


@rule(
    "MSR",
    scope=Scope.CPU,
    severity=Severity.ERROR,
    invariant="CR0, CR4, XCR0 and IA32_XSS of a CPU are as the kernel set them.",
)
def msr(snapshot: Snapshot, cpu: CpuView) -> Iterator[Outcome]:
    """Yield a defect if a CPU that was asked is not set up for what the kernel saves.

    Source: fpu__init_cpu(), fpu__init_cpu_xstate() and setup_xstate_features() in
    arch/x86/kernel/fpu.
    """
    told = snapshot.told(cpu.number)
    if told is None:
        yield Unknown("XCR0, IA32_XSS, IA32_XFD and CR0.TS are in the CPU, not in memory")
    else:
        yield from _checked(snapshot, told)


def _checked(snapshot: Snapshot, told: Answers) -> Iterator[Outcome]:
    """Yield a defect for each register of the CPU that contradicts the kernel."""
    if told.control["cr0"] & CR0_EM:
        yield _defect(snapshot, told, "CR0.EM is set", "each FPU instruction raises #NM")
    if snapshot.model.format == "fxsave":
        return
    if not told.control["cr4"] & CR4_OSXSAVE:
        yield _defect(snapshot, told, "CR4.OSXSAVE is clear", "XSAVE raises #UD in the kernel")
        return
    mask = snapshot.model.xstate.mask
    tables = snapshot.model.xstate.tables
    spans = standard_spans(mask & ~SUPERVISOR, tables.offsets, tables.sizes)
    size = max((span.end for span in spans), default=0)
    if told.xcr0_size != max(size, _LEAST):
        yield _defect(
            snapshot,
            told,
            f"XCR0 has components of {told.xcr0_size} bytes, but those that the kernel saves for "
            f"user space ({describe(mask & ~SUPERVISOR)}) have {size}",
            "the CPU saves less or more than the kernel has room for",
        )
    xss = told.control.get("ia32_xss", 0) & ~_INDEPENDENT
    if snapshot.model.format == "compacted" and xss != mask & SUPERVISOR & ~_INDEPENDENT:
        yield _defect(
            snapshot,
            told,
            f"IA32_XSS has {describe(xss)}, but the kernel saves {describe(mask & SUPERVISOR)}",
            "supervisor state of one task stays for the next, or is saved where there is no room",
        )


def _defect(snapshot: Snapshot, told: Answers, read: str, why: str) -> Defect:
    return Defect(f"CPU {told.cpu}", read, snapshot.model.kernel.current_task(told.cpu), why)
