# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a command's text goes: to a terminal, with or without colour, or to a new file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Callable

from gdbfpu.errors import writing
from gdbfpu.text.screen import Screen

__all__ = ("output", "remove_drafts", "standard_output")

_drafts: set[Path] = set()  # files that are being written, under random names


def standard_output() -> Screen:
    """Return the screen of standard output: in colour on a terminal, unless NO_COLOR is set."""
    return Screen(colour=os.isatty(1) and "NO_COLOR" not in os.environ)


@contextmanager
def output(out: Path | None, show: Callable[[str], object]) -> Iterator[Callable[[str], object]]:
    """Yield a function that writes a command's text to `out`, or `show` if `out` is None.

    It may be called several times, and adds a newline to each text. `out` is checked at once, so
    that nobody waits for an answer that cannot be written. The file appears only when it is
    complete. Raises UsageError if `out` exists or cannot be written.
    """
    if out is None:
        yield show
        return
    draft = out.parent / f".gdbfpu-{token_hex(8)}"
    _drafts.add(draft)
    try:
        with writing(out):
            _refuse_present(out)
            stream = draft.open("x", encoding="utf-8", errors="backslashreplace")

        def write(text: str) -> None:
            with writing(out):
                stream.write(text + "\n")

        with stream:
            yield write
            with writing(out):
                stream.close()
                _publish(draft, out)
    finally:
        _remove(draft)


def remove_drafts() -> None:
    """Remove files that are not complete yet."""
    for draft in tuple(_drafts):
        _remove(draft)


def _remove(draft: Path) -> None:
    with suppress(OSError):
        draft.unlink()
    _drafts.discard(draft)


def _refuse_present(out: Path) -> None:
    if os.path.lexists(out):
        raise FileExistsError


def _publish(draft: Path, out: Path) -> None:
    """Rename `draft` to `out`, unless another file has taken that name in the meantime."""
    try:
        os.link(draft, out)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        _refuse_present(out)
        draft.rename(out)
