# SPDX-License-Identifier: GPL-2.0-or-later
"""What the values of options are, each a function of the text that was given."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ("STANDARD_INPUT", "file_name", "number")

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
