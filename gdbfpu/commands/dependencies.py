# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages of others that gdbfpu works with; pyproject.toml has their versions."""

from __future__ import annotations

__all__ = ("PACKAGES",)

PACKAGES = {
    "elftools": "pyelftools",
    "capstone": "capstone",
    "tabulate": "tabulate",
    "pygments": "pygments",
    "wcwidth": "wcwidth",
}
"""What to install, by the module that is imported."""
