# SPDX-License-Identifier: GPL-2.0-or-later
"""Booted kernels for the tests: a missing kernel or QEMU fails them, it skips nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qemu.catalogue import load
from qemu.console import PROMPT
from qemu.cpus import model_for, models
from qemu.guest.image import test_image
from qemu.kernels import Kernel, obtain
from qemu.session import kernel_name
from qemu.vm import Machine
from tests.vm.oracle import symbols_of

BOOT_TIMEOUT = 120.0  # seconds; it takes about three
NAME = kernel_name()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `cpu` each of the CPU models that make a difference to the kernel, or CPU's alone."""
    if "cpu" in metafunc.fixturenames:
        metafunc.parametrize("cpu", models(load().get(NAME)), scope="module")


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    """The kernel that the environment variable KERNEL names, or that is chosen without it."""
    return obtain(NAME)


@pytest.fixture(scope="session")
def model(kernel: Kernel) -> str:
    """The CPU model on which `make demo` would boot the kernel."""
    return model_for(kernel)


@pytest.fixture(scope="session")
def symbols(kernel: Kernel) -> dict[str, int]:
    """The kernel's symbols and where they are, read by nm."""
    return symbols_of(kernel.vmlinux)


@pytest.fixture(scope="session")
def initrd() -> Path:
    """The guest of the tests: busybox and the programs of qemu/guest/programs."""
    return test_image()


@pytest.fixture
def machine(kernel: Kernel, model: str) -> Iterator[Callable[..., Machine]]:
    """A function that boots `initrd` to its shell; what it booted ends with the test.

    Without a CPU model among its options it takes the one that `make demo` would.
    """
    machines: list[Machine] = []

    def boot(initrd: Path, *, until: str = PROMPT, **options: object) -> Machine:
        machines.append(Machine(kernel.bzimage, initrd, **{"cpu": model, **options}))
        machines[-1].boot(until, BOOT_TIMEOUT)
        return machines[-1]

    yield boot
    for each in machines:
        each.close()
