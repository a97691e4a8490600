# SPDX-License-Identifier: GPL-2.0-or-later
"""Pretty-printers of the kernel's FPU types, for the kernel's objfile; `print/r` bypasses them.

They read GDB values, not the target, so that they work on any struct fpu, wherever it is. The code
that they need is imported when a printer is first used, as with the commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gdb
import gdb.printing

__all__ = ("register_printers",)


class _Header:
    """struct xstate_header (xsave_hdr_struct before 4.2): its masks as names of components."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def to_string(self) -> str:
        """Return the header in one line."""
        from gdbfpu.xsave.area import COMPACTED
        from gdbfpu.xsave.features import describe

        features = int(self._value["xfeatures"])
        compacted = int(self._value["xcomp_bv"])
        form = "compacted" if compacted & COMPACTED else "standard"
        held = f" of {describe(compacted & ~COMPACTED)}" if compacted & COMPACTED else ""
        extra = "" if compacted & COMPACTED or not compacted else f", xcomp_bv {compacted:#x}"
        return f"{describe(features)} ({features:#x}), {form}{held}{extra}"


class _Legacy:
    """struct fxregs_state: its control words; `fpu-state` shows the registers."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def to_string(self) -> str:
        """Return the control words in one line."""
        names = ("cwd", "swd", "twd", "mxcsr", "mxcsr_mask")
        return ", ".join(f"{name} {int(self._value[name]):#x}" for name in names)


class _State:
    """union fpregs_state: its member `xsave`, which a kernel with XSAVE uses."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def to_string(self) -> str:
        """Return header and control words in one line."""
        xsave = self._value["xsave"]
        return f"{_Header(xsave['header']).to_string()}; {_Legacy(xsave['i387']).to_string()}"


class _Fpu:
    """struct fpu: its members, the registers in one line."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def children(self) -> Iterator[tuple[str, Any]]:
        """Yield each member with its name."""
        for member in self._value.type.fields():
            if member.name:
                yield member.name, self._value[member]


def register_printers(objfile: Any) -> None:
    """Register the printers for `objfile` (None: for all), once."""
    printers = gdb.printing.RegexpCollectionPrettyPrinter("gdbfpu")
    printers.add_printer("xstate_header", "^xstate_header$", _Header)
    printers.add_printer("fxregs_state", "^fxregs_state$", _Legacy)
    printers.add_printer("fpregs_state", "^fpregs_state$", _State)
    printers.add_printer("fpu", "^fpu$", _Fpu)
    gdb.printing.register_pretty_printer(objfile, printers, replace=True)
