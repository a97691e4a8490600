# SPDX-License-Identifier: GPL-2.0-or-later
"""The CPUs' vendor and features, read from boot_cpu_data in a fake memory."""

from __future__ import annotations

import pytest
from fake_kernel import SYMBOLS, World, struct, task_struct

from gdbfpu.kernel.cpuinfo import AMD, EAGER_FPU, XSAVEERPTR, cpu_has, cpu_vendor
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts

BASE = SYMBOLS["boot_cpu_data"]
VENDOR = ("x86_vendor", 1, 1)
WORDS = ("x86_capability", 12, 4 * 13)


def kernel_of(*members):
    target = World().target
    cpu = [struct("cpuinfo_x86", 200, *members)] if members else []
    return Kernel(target, Layouts([task_struct(), *cpu]))


def test_vendor():
    kernel = kernel_of(VENDOR, WORDS)
    kernel.target.put(BASE, b"\x11\2\x22")  # a byte of its own, between x86 and x86_model
    assert cpu_vendor(kernel) == AMD == 2  # X86_VENDOR_AMD


def test_a_feature_is_one_bit_of_one_word():
    """X86_FEATURE_EAGER_FPU is 3*32+29."""
    kernel = kernel_of(VENDOR, WORDS)
    assert cpu_has(kernel, EAGER_FPU) is False
    kernel.target.put(BASE + 12, b"\xff" * 12 + (~(1 << 29) & 0xFFFFFFFF).to_bytes(4, "little"))
    assert cpu_has(kernel, EAGER_FPU) is False
    kernel.target.put(BASE + 12, bytes(12) + (1 << 29).to_bytes(4, "little") + bytes(4))
    assert cpu_has(kernel, EAGER_FPU) is True


def test_a_word_behind_the_array_is_no_feature():
    kernel = kernel_of(VENDOR, WORDS)
    kernel.target.put(BASE + 12 + 4 * 13, b"\xff" * 4)
    assert cpu_has(kernel, XSAVEERPTR) is False


@pytest.mark.parametrize("members", [(), (("x86", 0, 1),)])
def test_what_is_missing_is_not_known(members):
    kernel = kernel_of(*members)
    assert (cpu_vendor(kernel), cpu_has(kernel, EAGER_FPU)) == (None, None)


def test_a_kernel_without_boot_cpu_data():
    kernel = kernel_of(VENDOR, WORDS)
    del kernel.target.symbols["boot_cpu_data"]
    assert (cpu_vendor(kernel), cpu_has(kernel, EAGER_FPU)) == (None, None)
