# SPDX-License-Identifier: GPL-2.0-or-later
"""What `fpu-doctor` does: show GDB to the checks."""

from __future__ import annotations

import re
import sys
from functools import cached_property
from pathlib import Path

import gdb

from gdbfpu.commands.dependencies import lacking
from gdbfpu.commands.doctor_options import DoctorOptions
from gdbfpu.commands.model import file_layouts
from gdbfpu.dbg.debug_files import debug_helpers, kernel_file
from gdbfpu.dbg.fpu_registers import monitor_answer
from gdbfpu.dbg.session import Session
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.dbg.terminal import say
from gdbfpu.doctor.debugger import Breakpoint, Python
from gdbfpu.doctor.finding import examine
from gdbfpu.doctor.gdb_checks import CHECKS
from gdbfpu.doctor.text import findings_json, findings_text
from gdbfpu.errors import GdbFpuError, MissingType, NoTypes
from gdbfpu.fpu.model import FpuModel
from gdbfpu.layouts.types import Layouts
from gdbfpu.text.screen import Screen

__all__ = ("doctor",)

_FIXED = re.compile(r"fixed at (\d+) bytes")


def doctor(session: Session, options: DoctorOptions, screen: Screen) -> None:
    """Make all checks and print what they found."""
    found = examine(CHECKS, _Debugger(session))
    write = findings_json if options.format == "json" else findings_text
    say(write(found, screen))


class _Debugger:
    """This GDB, as gdbfpu.doctor.debugger has it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def python(self) -> Python:
        version = ".".join(map(str, sys.version_info[:3]))
        return Python(f"GDB {gdb.VERSION}, Python {version}", lacking(), tuple(sys.path))

    def architecture(self) -> str:
        return str(gdb.selected_inferior().architecture().name())

    def attached(self) -> bool:
        return bool(gdb.selected_inferior().pid)

    def vmlinux(self) -> Path:
        return kernel_file()

    def target(self) -> GdbTarget:
        return self._session.target

    def slide(self) -> int | None:
        return self._slide

    @cached_property
    def _slide(self) -> int | None:
        return self._session.place_symbols(lambda _: None)

    def layouts(self) -> Layouts:
        """Return the types from the file if there is no kernel, or another one."""
        if isinstance(self._model, FpuModel):
            return self._model.kernel.layouts
        if isinstance(self._model, (NoTypes, MissingType)):
            raise self._model
        return file_layouts(self.vmlinux(), debug_helpers(self.vmlinux()))

    def model(self) -> FpuModel:
        if isinstance(self._model, GdbFpuError):
            raise self._model
        return self._model

    @cached_property
    def _model(self) -> FpuModel | GdbFpuError:
        """Return the error, too: to search for a kernel that is not there takes seconds."""
        try:
            if self.slide() is None:
                return GdbFpuError("the kernel of vmlinux is not found in memory")
            return self._session.model
        except GdbFpuError as error:
            return error

    def largest_read(self) -> int | None:
        """Return half of what GDB says: each byte takes two digits."""
        told = _FIXED.search(gdb.execute("show remote memory-read-packet-size", False, True))
        return int(told[1]) // 2 if told else None

    def monitor(self, command: str) -> str:
        try:
            return monitor_answer(command)
        except gdb.error as error:
            raise GdbFpuError(f"the stub has no monitor: {error}") from error

    def breakpoints(self) -> tuple[Breakpoint, ...]:
        """Return no hardware breakpoints, which KGDB takes anywhere, and none of gdbfpu's."""
        return tuple(
            Breakpoint(point.number, int(place.address))
            for point in gdb.breakpoints()
            if point.type == gdb.BP_BREAKPOINT and point.number > 0 and point.enabled
            for place in getattr(point, "locations", ())  # since GDB 13
            if place.address is not None
        )

    def device(self) -> Path | None:
        connection = getattr(gdb.selected_inferior(), "connection", None)  # since GDB 11
        path = Path(getattr(connection, "details", None) or "")
        return path if path.is_char_device() else None

    def baud(self) -> int | None:
        rate = gdb.parameter("serial baud")
        return rate if rate and rate > 0 else None
