# SPDX-License-Identifier: GPL-2.0-or-later
"""All types that gdbfpu reads in a kernel, and the functions that lead to them in DWARF."""

from __future__ import annotations

from gdbfpu import fpu, kernel, usermem, xstate
from gdbfpu.audit import ground

__all__ = ("ANCHORS", "TYPES")

TYPES = tuple(sorted({*fpu.TYPES, *kernel.TYPES, *xstate.TYPES, *usermem.TYPES, *ground.TYPES}))
"""The types that the kernel's meaning is read with, each module's own."""

ANCHORS = (*fpu.ANCHORS, *kernel.ANCHORS)
"""The functions whose source files describe TYPES, in the order they are asked."""
