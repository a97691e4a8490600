# SPDX-License-Identifier: GPL-2.0-or-later
"""What the stub does with packets and breakpoints: KVM, the size of reads, the line."""

from __future__ import annotations

import re

from gdbfpu.doctor.debugger import Debugger
from gdbfpu.doctor.finding import Answer, fine, not_applicable, trouble, unknown
from gdbfpu.errors import GdbFpuError
from gdbfpu.kernel.kgdb import MAX_READ
from gdbfpu.kernel.tasks import Kernel

__all__ = ("check_kvm", "check_packets", "emulated", "uses_kvm")

_KVM = re.compile(r"kvm support: (enabled|disabled)")  # hmp_info_kvm() in QEMU
_TCG = b"QEMU TCG CPU"  # max_x86_cpu_initfn() in QEMU: the brand string of -cpu max


def uses_kvm(debugger: Debugger) -> bool | None:
    """Return whether QEMU runs the kernel by KVM, None if its monitor does not say."""
    told = _KVM.search(debugger.monitor("info kvm"))
    return told[1] == "enabled" if told else None


def emulated(debugger: Debugger, kernel: Kernel) -> bool:
    """Return whether QEMU is known to emulate the CPU; raise GdbFpuError.

    KGDB knows nothing of QEMU. But QEMU's own CPU model names itself.
    """
    stub = kernel.target.stub
    if stub.runs and not stub.in_kernel:
        return uses_kvm(debugger) is False
    base = kernel.target.symbol_address("boot_cpu_data")
    brand = kernel.layouts.find("cpuinfo_x86", "x86_model_id")
    if base is None or brand is None:
        return False
    return kernel.target.read_memory(base + brand.offset, len(_TCG)) == _TCG


def check_kvm(debugger: Debugger) -> Answer:
    """Do breakpoints hold under KVM?

    QEMU writes an INT3 into the guest's memory. Before the kernel has mapped its text, that fails,
    or the kernel's own start overwrites it.
    """
    stub = debugger.target().stub
    if not stub.runs or stub.in_kernel:
        return not_applicable("only QEMU's gdbstub plants breakpoints by KVM")
    kvm = uses_kvm(debugger)
    if kvm is None:
        return unknown("QEMU's monitor does not say whether it uses KVM")
    if not kvm:
        return fine("QEMU does not use KVM")
    if debugger.slide() is None:
        return trouble(
            "QEMU uses KVM, and the kernel is not mapped yet: the kernel's start overwrites "
            "breakpoints that are planted now, and they are never hit",
            "hbreak start_kernel",
            "continue",
            "# and plant the others there",
        )
    return fine("QEMU uses KVM; the kernel is mapped, so breakpoints hold")


def check_packets(debugger: Debugger) -> Answer:
    """Does GDB ask KGDB for more than KGDB can answer?"""
    most = debugger.largest_read()
    try:
        limit = debugger.target().stub.max_read
    except GdbFpuError:
        limit = MAX_READ
    if most is None or limit is None or most <= limit + 1:
        return fine("GDB asks for no more than the stub can answer")
    return trouble(
        f"GDB asks for up to {most:,} bytes at once. KGDB's buffer has room for {limit + 1}: "
        "beyond, it overwrites the kernel's memory",
        "set remote memory-read-packet-size 0",
        "set remote memory-read-packet-size limit",
    )
