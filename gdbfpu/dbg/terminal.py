# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said to the person at GDB's terminal."""

from __future__ import annotations

import gdb

__all__ = ("say",)


def say(text: str) -> None:
    """Print `text` and a newline."""
    gdb.write(f"{text}\n")
