# SPDX-License-Identifier: GPL-2.0-or-later
"""What `source gdbfpu` runs: look for the dependencies, then make the commands.

The dependencies themselves are imported when they are first needed.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import gdb

from gdbfpu.commands.dependencies import PACKAGES

__all__ = ("load",)


def load(packages: Path) -> None:
    """Make the commands; raise GdbError naming a missing dependency and how to install it.

    `packages` is where dependencies are installed; GDB's Python has this directory in its path.
    """
    missing = [d for module, d in PACKAGES.items() if not importlib.util.find_spec(module)]
    if missing:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        python = Path(sys.base_prefix) / "bin" / f"python{version}"
        raise gdb.GdbError(
            f"gdbfpu: GDB's Python {version} lacks {' and '.join(missing)}; install with: "
            f"{python} -m pip install --target {packages} {' '.join(missing)}"
        )
    from gdbfpu.dbg.declared import register_commands
    from gdbfpu.dbg.functions import register_functions
    from gdbfpu.dbg.printers import register_printers

    register_commands()
    register_functions()
    register_printers(_kernel_objfile())
    gdb.events.new_objfile.connect(lambda event: register_printers(event.new_objfile))


def _kernel_objfile() -> Any:
    """Return the objfile of the program that GDB was given, None if GDB has no program yet."""
    return next(iter(gdb.objfiles()), None)
