# SPDX-License-Identifier: GPL-2.0-or-later
"""What `source gdbfpu` runs: look for the dependencies, then make the commands.

The dependencies themselves are imported when they are first needed.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import gdb

__all__ = ("load",)

_DEPENDENCIES = {
    "elftools": "pyelftools",
    "capstone": "capstone",
    "tabulate": "tabulate",
    "pygments": "pygments",
}


def load(packages: Path) -> None:
    """Make the commands; raise GdbError naming a missing dependency and how to install it.

    `packages` is the directory on GDB's Python's path that dependencies are installed to.
    """
    missing = [d for module, d in _DEPENDENCIES.items() if not importlib.util.find_spec(module)]
    if missing:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        python = Path(sys.base_prefix) / "bin" / f"python{version}"
        raise gdb.GdbError(
            f"gdbfpu: GDB's Python {version} lacks {' and '.join(missing)}; install with: "
            f"{python} -m pip install --target {packages} {' '.join(missing)}"
        )
    from gdbfpu.dbg.commands import register

    register()
