# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose the CPU model to boot a kernel on: that of the environment, else the kernel's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from qemu.catalogue import Entry, load
from qemu.errors import GivenError, SetupError
from qemu.kernels import Kernel
from qemu.vm import QEMU

__all__ = ("CPU_VARIABLE", "asked_model", "model_for", "models", "switches_lazily")

CPU_VARIABLE = "CPU"
"""The environment variable that names a CPU model, as QEMU's -cpu takes it."""

# This function parses eagerfpu= (arch/x86/kernel/fpu/init.c). Only a kernel that can switch lazily
# or eagerly has it.
_LAZY_SYMBOL = "eager_fpu_setup"
_ANSWER = 20.0  # seconds for QEMU to say whether it knows a model; it takes 0.1


def asked_model() -> str:
    """Return the model that the environment names, if any; raise GivenError if QEMU rejects it."""
    model = os.environ.get(CPU_VARIABLE, "")
    if not model or shutil.which(QEMU) is None:
        return model
    argv = [QEMU, "-nodefaults", "-display", "none", "-S", "-cpu", model, "-monitor", "stdio"]
    answer = subprocess.run(
        argv, input="quit\n", capture_output=True, text=True, timeout=_ANSWER, check=False
    )
    if answer.returncode:
        said = answer.stderr.strip().splitlines()
        raise GivenError(f"{CPU_VARIABLE}={model}: {said[-1] if said else QEMU + ' refuses it'}")
    return model


def models(entry: Entry | None) -> tuple[str, ...]:
    """Return the models to try a kernel on: the user's, else the catalogue's; raise GivenError.

    `entry` is None for a kernel that is not in the catalogue.
    """
    if asked := asked_model():
        return (asked,)
    return entry.cpus if entry else ("max",)


def model_for(kernel: Kernel) -> str:
    """Return the model to boot a kernel on.

    This is the environment's CPU, if set. If not, and the kernel can switch lazily, it is the model
    on which the kernel does. Raises SetupError.
    """
    entry = load().get(kernel.name)
    first = models(entry)[0]
    if entry is None or not entry.lazy or os.environ.get(CPU_VARIABLE):
        return first
    return entry.lazy if switches_lazily(kernel.vmlinux) else first


def switches_lazily(vmlinux: Path) -> bool:
    """Return whether a kernel can leave the FPU to its last user until the next one needs it.

    Raises SetupError.
    """
    try:
        with vmlinux.open("rb") as file:
            table = ELFFile(file).get_section_by_name(".symtab")
            return table is not None and table.get_symbol_by_name(_LAZY_SYMBOL) is not None
    except (OSError, ELFError) as error:
        raise SetupError(f"{vmlinux} cannot be read: {error}") from error
