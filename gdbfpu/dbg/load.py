# SPDX-License-Identifier: GPL-2.0-or-later
"""What `source gdbfpu` runs: look for the dependencies, then make the commands.

The dependencies themselves are imported when they are first needed.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import gdb

from gdbfpu.commands.dependencies import install_command, lacking, other_python

__all__ = ("load",)

_VERSION = "{}.{}".format(*sys.version_info)


def load(home: Path) -> None:
    """Make the commands; raise GdbError with what GDB's Python lacks and how to install it.

    `home` is the folder that the package gdbfpu is in: a checkout, or the site-packages of an
    installation.
    """
    packages = _packages(home)
    sys.path += [p for p in [str(packages)] if p not in sys.path]
    if missing := lacking():
        raise gdb.GdbError(
            f"gdbfpu: GDB's Python {_VERSION} lacks {' and '.join(missing)}; install with: "
            f"{install_command(packages)}"
        )
    from gdbfpu.dbg.counters import start_counters
    from gdbfpu.dbg.declared import register_commands
    from gdbfpu.dbg.functions import register_functions
    from gdbfpu.dbg.printers import register_printers
    from gdbfpu.dbg.tui_window import register_window

    register_commands()
    register_functions()
    register_window()
    start_counters()
    register_printers(_kernel_objfile())
    gdb.events.new_objfile.connect(lambda event: register_printers(event.new_objfile))


def _kernel_objfile() -> Any:
    """Return the objfile of the program that GDB was given, None if GDB has no program yet."""
    return next(iter(gdb.objfiles()), None)


def _packages(home: Path) -> Path:
    """Return the folder of the packages that gdbfpu needs.

    They are installed with it; for a checkout, `make setup` installs them. Raises GdbError if they
    are for another Python than GDB's.
    """
    if not home.name.endswith("-packages"):
        base = os.environ.get("XDG_CACHE_HOME", "")  # a relative one is to be ignored, says XDG
        cache = Path(base if base.startswith("/") else "~/.cache").expanduser()
        return cache / f"gdbfpu/venv/lib/python{_VERSION}/site-packages"
    other = re.fullmatch(r"python(\d+\.\d+)", home.parent.name)
    if other and other[1] != _VERSION:
        raise gdb.GdbError(f"gdbfpu: {other_python(other[1], _VERSION, sys.base_prefix)}")
    return home
