# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that turn the text of an option into its value."""

from __future__ import annotations

import argparse
import stat
from pathlib import Path

__all__ = ("STANDARD_INPUT", "file_name", "number", "stored_file")

STANDARD_INPUT = Path("-")
"""The file name that means standard input, for commands that read it."""


def number(text: str) -> int:
    """Return an integer of at least 0, given in decimal or with 0x."""
    value = int(text, 0) if text else -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def file_name(text: str) -> Path:
    """Return the path of a file; `~` and `~user` become a home directory."""
    if not text:
        raise argparse.ArgumentTypeError("a file name is empty")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: no home directory for this user") from error


def stored_file(text: str) -> Path:
    """Return the path of a file that allows random access: not a pipe, not a device.

    Reading the file later tells whether it exists and is of the right kind.
    """
    path = file_name(text)
    try:
        mode = path.stat().st_mode
    except OSError:
        return path
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode):
        raise argparse.ArgumentTypeError(
            f"{text} is a pipe or a device, which does not allow random access: save it as a file"
        )
    return path
