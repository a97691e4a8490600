# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the vendor and the features of the CPUs from `boot_cpu_data`.

Source: `struct cpuinfo_x86` and the macros X86_VENDOR_* in arch/x86/include/asm/processor.h,
X86_FEATURE_* in arch/x86/include/asm/cpufeatures.h.
"""

from __future__ import annotations

from gdbfpu.kernel.tasks import Kernel
from gdbfpu.target import read_u32

__all__ = (
    "AMD",
    "EAGER_FPU",
    "HYGON",
    "HYPERVISOR",
    "INTEL",
    "XSAVEC",
    "XSAVEERPTR",
    "XSAVEOPT",
    "XSAVES",
    "cpu_has",
    "cpu_vendor",
)

INTEL, AMD, HYGON = 0, 2, 9
"""Values of x86_vendor."""
EAGER_FPU = (3, 29)
"""X86_FEATURE_EAGER_FPU, 3.7 to 4.8: the word of x86_capability, and the bit in it."""
XSAVEOPT, XSAVEC, XSAVES = (10, 0), (10, 1), (10, 3)
"""The successors of XSAVE; word 10 is CPUID.(0xD,1):EAX since 3.17 (6229ad278ca7)."""
HYPERVISOR = (4, 31)
"""The kernel runs in a virtual machine: CPUID.1:ECX[31]."""
XSAVEERPTR = (13, 2)
"""The CPU always saves the x87 pointers; since 4.7."""


def cpu_vendor(kernel: Kernel) -> int | None:
    """Return x86_vendor (u8) of boot_cpu_data, or None if it is missing; raise MemoryFault."""
    base = kernel.target.symbol_address("boot_cpu_data")
    member = kernel.layouts.find("cpuinfo_x86", "x86_vendor")
    if base is None or member is None:
        return None
    return kernel.target.read_memory(base + member.offset, 1)[0]


def cpu_has(kernel: Kernel, feature: tuple[int, int]) -> bool | None:
    """Return whether x86_capability of boot_cpu_data has `feature` (word, bit).

    Returns False if this kernel's array is too short to have that word, None if there is no
    array. Raises MemoryFault.
    """
    base = kernel.target.symbol_address("boot_cpu_data")
    words = kernel.layouts.find("cpuinfo_x86", "x86_capability")
    if base is None or words is None:
        return None
    word, bit = feature
    if 4 * (word + 1) > words.size:
        return False
    return bool(read_u32(kernel.target, base + words.offset + 4 * word) >> bit & 1)
