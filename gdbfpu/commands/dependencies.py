# SPDX-License-Identifier: GPL-2.0-or-later
"""The third-party packages that gdbfpu needs; pyproject.toml has their versions.

This imports nothing of gdbfpu, so that any Python can run it.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

__all__ = ("PACKAGES", "SHELL_PACKAGES", "install_command", "lacking", "other_python")

PACKAGES = {
    "elftools": "pyelftools",
    "capstone": "capstone",
    "tabulate": "tabulate",
    "pygments": "pygments",
    "wcwidth": "wcwidth",
}
"""The package to install for each module that gdbfpu imports in GDB."""

SHELL_PACKAGES = {**PACKAGES, "jinja2": "jinja2", "shtab": "shtab"}
"""The same for the command line."""


def lacking() -> tuple[str, ...]:
    """Return the packages that this Python lacks."""
    return tuple(name for module, name in PACKAGES.items() if not importlib.util.find_spec(module))


def install_command(folder: str | Path) -> str:
    """Return the command that installs what this Python lacks, into `folder`."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = Path(sys.base_prefix) / "bin" / f"python{version}"
    return f"{python} -m pip install --target {folder} {' '.join(lacking())}"


def other_python(own: str, gdb: str, prefix: str) -> str:
    """Return what to do if gdbfpu is installed for Python `own`, and GDB has Python `gdb`.

    Packages with compiled parts load only in the Python they are installed for. `prefix` is where
    GDB's Python is installed.
    """
    return (
        f"it is installed for Python {own}, and GDB has Python {gdb}: install it for that one; "
        f"with pipx: pipx reinstall --python {prefix}/bin/python{gdb} gdbfpu"
    )
