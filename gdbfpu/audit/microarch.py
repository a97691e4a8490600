# SPDX-License-Identifier: GPL-2.0-or-later
"""The rule on leaks from inside the CPU: what this kernel and its microcode leave open.

Memory does not show such a leak. But the kernel knows which bugs its CPUs have, and what it does
against them. LazyFP has a rule of its own, LAZYFP.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gdbfpu.audit.finding import Severity
from gdbfpu.audit.rule import Defect, Outcome, Scope, Unknown, rule
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.kernel.cpubugs import Cpu, bug_flags, mitigation, read_cpu
from gdbfpu.kernel.cpuinfo import AMD, HYPERVISOR, INTEL, cpu_has, cpu_vendor
from gdbfpu.kernel.tasks import Kernel

__all__ = ("microarch",)

_CLOSED, _OPEN = "Mitigation", "Vulnerable"
"""How /sys begins (Documentation/ABI/testing/sysfs-devices-system-cpu in the kernel)."""
_WHY = "a program can find out what other programs or the kernel had in registers"
_ZEN_FAMILY, _ZEN3_FAMILY = 0x17, 0x19
_ZEN2 = (*range(0x30, 0x50), *range(0x60, 0x80), 0x90, 0x91, *range(0xA0, 0xB0))
_ZENBLEED_FIXED = (
    (range(0x30, 0x40), 0x0830107B),
    (range(0x60, 0x68), 0x0860010C),
    (range(0x68, 0x70), 0x08608107),
    (range(0x70, 0x80), 0x08701033),
    (range(0xA0, 0xB0), 0x08A00009),
)
"""The first microcode without Zenbleed by CPU model: kernel commit 5c84b051bd4e."""
_ZENBLEED_FIX = "zenbleed_check_cpu"  # 522b1d69219d, in all trees that have it


class _Leak(NamedTuple):
    """A leak against which the kernel has a mitigation: `bug` is its name in the kernel.

    Only CPUs of `vendor` have it, and only those of `family`, if not 0.
    """

    name: str
    bug: str
    vendor: int
    family: int = 0


_LEAKS = (
    _Leak("MDS (CVE-2018-12126, CVE-2018-12127, CVE-2018-12130)", "mds", INTEL),
    _Leak("GDS, called Downfall (CVE-2022-40982)", "gds", INTEL),
    _Leak("RFDS (CVE-2023-28746)", "rfds", INTEL),
    _Leak("TSA (CVE-2024-36350, CVE-2024-36357)", "tsa", AMD, _ZEN3_FAMILY),
)


@rule(
    "MICROARCH",
    scope=Scope.KERNEL,
    severity=Severity.WARNING,
    invariant="No known leak of registers from inside the CPU is open.",
)
def microarch(snapshot: Snapshot) -> Iterator[Outcome]:
    """Yield a defect for each known leak from inside the CPU that this kernel leaves open.

    Source: bugs.c and amd.c in the kernel's arch/x86/kernel/cpu.
    """
    kernel = snapshot.model.kernel
    vendor, cpu = cpu_vendor(kernel), read_cpu(kernel)
    yield from _mitigated(kernel, vendor, cpu)
    if vendor == AMD and cpu is None:
        yield Unknown("boot_cpu_data does not say whether its CPUs have Zenbleed or FP-DSS")
    if vendor == AMD and cpu is not None and cpu.family == _ZEN_FAMILY:
        yield from _zenbleed(snapshot, cpu) if cpu.model in _ZEN2 else _fpdss()


def _mitigated(kernel: Kernel, vendor: int | None, cpu: Cpu | None) -> Iterator[Outcome]:
    """Yield outcomes for the leaks that the kernel itself reports."""
    known, unheard = bug_flags(kernel), []
    for leak in _LEAKS:
        possible = vendor in (None, leak.vendor)
        if leak.family and cpu is not None:
            possible &= cpu.family == leak.family
        if possible and leak.bug not in known:
            unheard.append(leak.name)
        elif known.get(leak.bug):
            yield from _state(kernel, leak)
    if unheard:
        yield Unknown(f"this kernel does not know {'; '.join(unheard)}")


def _state(kernel: Kernel, leak: _Leak) -> Iterator[Outcome]:
    found = mitigation(kernel, leak.bug)
    if found is None:
        yield Unknown(f"{leak.name}: the CPU has it; the kernel does not say what it does")
    elif found.text.startswith(_OPEN):
        yield Defect(
            "the CPUs", f"{leak.bug}: {found.text}", found.address, f"by {leak.name} {_WHY}"
        )
    elif not found.text.startswith(_CLOSED):
        yield Unknown(f"{leak.name}: the kernel says `{found.text}`")


def _zenbleed(snapshot: Snapshot, cpu: Cpu) -> Iterator[Outcome]:
    """Yield an outcome for CVE-2023-20593: either the microcode or the kernel closes it."""
    name = "Zenbleed (CVE-2023-20593)"
    if any(cpu.model in models and cpu.microcode >= good for models, good in _ZENBLEED_FIXED):
        return
    kernel = snapshot.model.kernel
    if cpu_has(kernel, HYPERVISOR) is not False:
        yield Unknown(f"{name}: in a virtual machine, it is the host that closes it")
    elif not snapshot.has(_ZENBLEED_FIX):
        read = f"the microcode is {cpu.microcode:#x}, and the kernel has no {_ZENBLEED_FIX}()"
        yield Defect("the CPUs", read, kernel.symbol("boot_cpu_data"), f"by {name} {_WHY}")


def _fpdss() -> Iterator[Outcome]:
    yield Unknown(
        "FP-DSS (CVE-2025-54505): the CPU has it; memory does not show whether this kernel has "
        "e55d98e77561 (7.1, and stable trees)"
    )
