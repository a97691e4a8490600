# SPDX-License-Identifier: GPL-2.0-or-later
"""The model of a kernel: all types that gdbfpu reads in it, found in its debugging information."""

from __future__ import annotations

from pathlib import Path

from gdbfpu.audit import snapshot
from gdbfpu.fpu import model, xstate
from gdbfpu.fpu.model import FpuModel
from gdbfpu.kernel import callpath, signals, tasks, usermem
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.cache import Question
from gdbfpu.layouts.sources import Progress, read_layouts
from gdbfpu.target import Memory

__all__ = ("ANCHORS", "TYPES", "read_model")

_READERS = (model, tasks, callpath, signals, xstate, usermem, snapshot)

TYPES = tuple(sorted({name for module in _READERS for name in module.TYPES}))
"""The types that the kernel's meaning is read with, each module's own."""

ANCHORS = (*model.ANCHORS, *tasks.ANCHORS)
"""The functions whose source files describe TYPES, in the order they are asked."""


def read_model(target: Memory, vmlinux: Path, build_id: str, progress: Progress) -> FpuModel:
    """Return the FPU model of the kernel behind `target`, which `vmlinux` describes.

    `build_id` (hex) is what `identity.verify` returned, `progress` is told of the bytes of BTF
    read from memory. Raises GdbFpuError.
    """
    question = Question(build_id, TYPES, ANCHORS)
    return model.probe(Kernel(target, read_layouts(target, vmlinux, question, progress)))
