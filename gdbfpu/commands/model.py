# SPDX-License-Identifier: GPL-2.0-or-later
"""The model of a kernel: all types that gdbfpu reads in it, found in its debugging information."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gdbfpu.audit import snapshot
from gdbfpu.fpu import model, xstate
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kernel import callpath, signals, tasks, usermem
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts import debuginfod
from gdbfpu.layouts.cache import Question
from gdbfpu.layouts.sources import Helpers, Progress, read_layouts
from gdbfpu.target import Memory

__all__ = ("ANCHORS", "TYPES", "helpers_here", "question", "read_model")

_READERS = (model, tasks, callpath, signals, xstate, usermem, snapshot)

TYPES = tuple(sorted({name for module in _READERS for name in module.TYPES}))
"""The types that the kernel's meaning is read with, each module's own."""

ANCHORS = (*model.ANCHORS, *tasks.ANCHORS)
"""The functions whose source files describe TYPES, in the order they are asked."""


_NEEDED = ("fpu", "task_struct")  # types that every kernel has
_VARIABLES = (  # and those that it has if it has the variable
    ("boot_cpu_data", "cpuinfo_x86"),
    ("fpu_kernel_cfg", "fpu_state_config"),
    ("kgdb_info", "debuggerinfo_struct"),
    ("pcpu_hot", "pcpu_hot"),
)


def question(build_id: str) -> Question:
    """Return what is asked of the kernel with `build_id` (hex)."""
    return Question(build_id, TYPES, ANCHORS, _NEEDED, _VARIABLES)


def helpers_here() -> Helpers:
    """Return who else knows of debug files where there is no debugger.

    That is debuginfod where DEBUGINFOD_URLS says whom to ask.
    """
    urls = os.environ.get(debuginfod.URLS, "")
    return Helpers(fetch=debuginfod.fetcher(urls, sys.stderr.write))


def read_model(
    target: Memory, vmlinux: Path, build_id: str, progress: Progress, helpers: Helpers
) -> FpuModel:
    """Return the FPU model of the kernel behind `target`, which `vmlinux` describes.

    `build_id` (hex) is what `identity.verify` returned, `progress` is told of the bytes of BTF
    read from memory, `helpers` know of debug files. Raises GdbFpuError.
    """
    layouts = read_layouts(target, vmlinux, question(build_id), progress, helpers)
    return model.probe(Kernel(target, layouts))
