# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot a kernel of the catalogue, or say in one line why it does not boot."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from qemu.cache import fresh_log
from qemu.console import PROMPT
from qemu.cpus import asked_model, model_for
from qemu.errors import MachineLost, SetupError
from qemu.kernels import Kernel, obtain
from qemu.vm import Machine

__all__ = ("boot_kernel",)

_BOOT = 120.0  # seconds; it takes a few


def boot_kernel(name: str, initrd: Path, memory: str = "512M") -> tuple[Machine, Kernel]:
    """Obtain the kernel `name` and boot it to its shell; the caller closes the machine.

    Raises SetupError, which names the file that has the kernel's console output.
    """
    asked_model()  # refuse a model that QEMU does not know before building a kernel
    kernel = obtain(name)
    cpu = model_for(kernel)
    print(f"booting {name} (Linux {kernel.version}) on 2 CPUs, {cpu} ...", flush=True)
    machine = Machine(kernel.bzimage, initrd, cpu=cpu, memory=memory)
    with ExitStack() as unless_booted:
        unless_booted.callback(machine.close)
        with fresh_log(f"{name}_{kernel.version}.console") as log:
            _boot(machine, name, log)
        unless_booted.pop_all()
    return machine, kernel


def _boot(machine: Machine, name: str, log: Path) -> None:
    try:
        machine.boot(PROMPT, _BOOT)
    except MachineLost as lost:
        log.write_text(machine.console_log)
        how = lost.how.replace("\n", " ")
        raise SetupError(f"{name} does not boot: {how}; its console output is in {log}") from lost
