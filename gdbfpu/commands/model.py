# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the types that gdbfpu needs from a kernel's debug information; make the kernel's model."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from gdbfpu.audit import snapshot
from gdbfpu.fpu import model, xstate
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kernel import callpath, pages, signals, tasks
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts import debuginfod, elf
from gdbfpu.layouts.cache import Question
from gdbfpu.layouts.sources import (
    Helpers,
    Progress,
    addresses_of,
    from_cache,
    from_file,
    neither,
    read_layouts,
)
from gdbfpu.layouts.types import Layouts
from gdbfpu.target import Memory

__all__ = (
    "ANCHORS",
    "TYPES",
    "file_layouts",
    "glimpse",
    "helpers_here",
    "question",
    "read_model",
)

_READERS = (model, tasks, callpath, signals, xstate, pages, snapshot)

TYPES = tuple(sorted({name for module in _READERS for name in module.TYPES}))
"""All types that gdbfpu reads: the TYPES of each module."""

ANCHORS = (*model.ANCHORS, *tasks.ANCHORS, *snapshot.ANCHORS)
"""The functions whose source files describe TYPES, in the order in which to search these files."""


_NEEDED = ("fpu", "task_struct")  # every kernel has these types
_VARIABLES = (  # variables and their types: a kernel with the variable has the type
    ("boot_cpu_data", "cpuinfo_x86"),
    ("fpu_kernel_cfg", "fpu_state_config"),
    ("guest_default_cfg", "vcpu_fpu_config"),
    ("kgdb_info", "debuggerinfo_struct"),
    ("pcpu_hot", "pcpu_hot"),
)


_SMALL = 8 << 20  # bytes of a file that is read in a moment; a kernel's DWARF is much longer


def question(build_id: str) -> Question:
    """Return which layouts gdbfpu needs of the kernel with `build_id` (hex)."""
    return Question(build_id, TYPES, ANCHORS, _NEEDED, _VARIABLES)


def helpers_here() -> Helpers:
    """Return the ways to find debug files when there is no debugger.

    The only one is debuginfod, if DEBUGINFOD_URLS names servers.
    """
    urls = os.environ.get(debuginfod.URLS, "")
    return Helpers(fetch=debuginfod.fetcher(urls, sys.stderr.write))


def file_layouts(vmlinux: Path, helpers: Helpers) -> Layouts:
    """Return the layouts of TYPES in `vmlinux` or its debug files, without a kernel's memory.

    Raises GdbFpuError.
    """
    build_id = elf.build_id(vmlinux) or ""
    addresses = partial(elf.symbol_addresses, vmlinux)
    layouts = from_file(vmlinux, question(build_id), addresses, helpers)
    if layouts is None:
        raise neither(vmlinux)
    return layouts


def read_model(
    target: Memory, vmlinux: Path, build_id: str, progress: Progress, helpers: Helpers
) -> FpuModel:
    """Return the FPU model of the kernel behind `target`, which `vmlinux` describes.

    `build_id` (hex) is what `identity.verify` returned. `progress` is called with the number of
    bytes of BTF read from memory so far. `helpers` find debug files. Raises GdbFpuError.
    """
    layouts = read_layouts(target, vmlinux, question(build_id), progress, helpers)
    return model.probe(Kernel(target, layouts))


def glimpse(target: Memory, vmlinux: Path, build_id: str, helpers: Helpers) -> Kernel | None:
    """Return the kernel behind `target` if its types are known at once, else None.

    They are if the cache has them, or if `vmlinux` is small. Raises GdbFpuError.
    """
    asked = question(build_id)
    layouts = from_cache(vmlinux, asked, helpers)
    if layouts is None and vmlinux.stat().st_size <= _SMALL:
        layouts = from_file(vmlinux, asked, addresses_of(target))
    return Kernel(target, layouts) if layouts is not None else None
