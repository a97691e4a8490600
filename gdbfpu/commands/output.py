# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a command's text goes: to a terminal, in colour or not, or to a new file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

from gdbfpu.errors import UsageError

__all__ = ("put", "wants_colour")


def wants_colour(out: Path | None) -> bool:
    """Return whether a text goes to a terminal, not to `out`, and is to be coloured (NO_COLOR)."""
    return out is None and os.isatty(1) and "NO_COLOR" not in os.environ


def put(text: str, out: Path | None, show: Callable[[str], object]) -> None:
    """Write `text` and a newline to the new file `out`, or `show` it where there is none.

    Raises UsageError for a file that is there already or cannot be written.
    """
    if out is None:
        show(text)
        return
    try:
        with out.open("x", encoding="utf-8") as stream:
            stream.write(text + "\n")
    except FileExistsError as error:
        raise UsageError(f"{out} exists already: name a new file or remove it") from error
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from error
