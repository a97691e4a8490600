# SPDX-License-Identifier: GPL-2.0-or-later
"""What the values of options are, each a function of the text that was given."""

from __future__ import annotations

import argparse
import stat
from pathlib import Path

__all__ = ("STANDARD_INPUT", "file_name", "number", "stored_file")

STANDARD_INPUT = Path("-")
"""The name that stands for standard input, where a command takes one."""


def number(text: str) -> int:
    """Return a number from 0 up, decimal or with 0x."""
    value = int(text, 0) if text else -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return value


def file_name(text: str) -> Path:
    """Return the path of a file, `~` and `~user` replaced by a home."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name is no file's")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: there is no such user's home") from error


def stored_file(text: str) -> Path:
    """Return the path of a file that can be read here and there: no pipe, no terminal.

    Whether the file is there and is what it should be is seen when it is read.
    """
    path = file_name(text)
    try:
        mode = path.stat().st_mode
    except OSError:
        return path
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode):
        raise argparse.ArgumentTypeError(
            f"{text} is a pipe or a device, which cannot be read here and there: save it as a file"
        )
    return path
