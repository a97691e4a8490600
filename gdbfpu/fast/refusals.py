# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a kernel, or a function of it, must not be diverted."""

from __future__ import annotations

from collections.abc import Collection

from gdbfpu.errors import UsageError
from gdbfpu.fast.patching import checks_calls, preempts
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts
from gdbfpu.probes.blocklist import refused
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.window import Window, find_window
from gdbfpu.target import Memory, read_u32

__all__ = ("check_kernel", "diverted_window")

_XEN_PV = 1  # XEN_PV_DOMAIN, include/xen/xen.h


def check_kernel(kernel: Kernel, types: Layouts) -> None:
    """Raise UsageError if nothing in this kernel may be diverted; `types` are those of patching."""
    target = kernel.target
    locked = target.symbol_address("kernel_locked_down")
    if locked is not None and read_u32(target, locked):
        raise UsageError("this kernel is locked down (lockdown=), which forbids such writes")
    xen = target.symbol_address("xen_domain_type")
    if xen is not None and read_u32(target, xen) == _XEN_PV:
        raise UsageError("this is a Xen PV guest, whose kernel cannot turn interrupts off itself")
    if checks_calls(kernel, types):
        raise UsageError("the CPU checks indirect calls (IBT), so a debugger cannot make one")


def _may_be_a_guests(target: Memory, function: str) -> bool:
    """Return whether KVM may pass `function` the struct fpu of a guest (up to 5.15)."""
    names = ("x86_fpu_cache", "kvm_load_guest_fpu", f"__ksymtab_{function}")  # KVM as a module
    return any(target.symbol_address(name) is not None for name in names)


def diverted_window(
    kernel: Kernel, probe: Probe, code: bytes, entry: int, patched: Collection[int]
) -> Window:
    """Return what a jump at the `entry` of `probe`, with `code`, replaces; raise UsageError.

    `patched` are the addresses that the kernel patches while it runs.
    """
    target = kernel.target
    try:
        if probe.refusal:
            raise UsageError("only its return tells a refusal, and --fast records calls")
        if refused(target, entry):
            raise UsageError("it is entry code, or kprobes must not touch it either (noinstr)")
        if probe.subject == "fpu" and _may_be_a_guests(target, probe.function):
            raise UsageError("KVM calls it for the state of a guest, which is in no task")
        if probe.on_raw:
            raise UsageError("its task is not initialised yet when it begins")
        window = find_window(code, entry)
        if window.instructions > 1 and preempts(target):
            raise UsageError("this kernel preempts: a task may wait between its first instructions")
        if any(site in patched for site in range(window.address, window.end)):
            raise UsageError("the kernel patches its first instructions itself (static key)")
    except UsageError as error:
        raise UsageError(f"{probe.function} cannot be diverted: {error}") from error
    return window
