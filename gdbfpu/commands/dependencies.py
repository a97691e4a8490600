# SPDX-License-Identifier: GPL-2.0-or-later
"""The third-party packages that gdbfpu needs; pyproject.toml has their versions."""

from __future__ import annotations

__all__ = ("PACKAGES", "SHELL_PACKAGES")

PACKAGES = {
    "jinja2": "jinja2",
    "elftools": "pyelftools",
    "capstone": "capstone",
    "tabulate": "tabulate",
    "pygments": "pygments",
    "wcwidth": "wcwidth",
}
"""The package to install for each module that gdbfpu imports in GDB."""

SHELL_PACKAGES = {**PACKAGES, "shtab": "shtab"}
"""The same for the command line."""
