# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a command's text goes: to a terminal, in colour or not, or to a new file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from gdbfpu.errors import UsageError

__all__ = ("wants_colour", "write_new")


def wants_colour(arguments: argparse.Namespace) -> bool:
    """Return whether a text goes to a terminal, and to one that is to be coloured (NO_COLOR)."""
    return not arguments.out and os.isatty(1) and "NO_COLOR" not in os.environ


def write_new(name: str, text: str) -> None:
    """Write `text` and a newline to the new file `name`; raise UsageError if it cannot be."""
    path = Path(name).expanduser()
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text + "\n")
    except FileExistsError as error:
        raise UsageError(f"{path} exists already: name a new file or remove it") from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
