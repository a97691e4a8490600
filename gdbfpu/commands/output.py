# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a command's text goes: to a terminal, in colour or not, or to a new file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Callable

from gdbfpu.errors import UsageError
from gdbfpu.text.screen import Screen

__all__ = ("output", "remove_drafts", "standard_output")

_drafts: set[Path] = set()  # files that are being written, under a name of chance


def standard_output() -> Screen:
    """Return what standard output is: a terminal shows colour, unless NO_COLOR is set."""
    return Screen(colour=os.isatty(1) and "NO_COLOR" not in os.environ)


@contextmanager
def output(out: Path | None, show: Callable[[str], object]) -> Iterator[Callable[[str], object]]:
    """Yield what takes a command's text: it writes the new file `out`, or is `show` without one.

    What can be wrong with `out` is said at once, so that nobody waits for an answer that has no
    place to go. The file is there as a whole or not at all. Raises UsageError for one that is
    there already or cannot be written.
    """
    if out is None:
        yield show
        return
    draft = out.parent / f".gdbfpu-{token_hex(8)}"
    _drafts.add(draft)
    try:
        with _said(out):
            _refuse_present(out)
            stream = draft.open("x", encoding="utf-8", errors="backslashreplace")

        def write(text: str) -> None:
            with _said(out):
                with stream:
                    stream.write(text + "\n")
                _publish(draft, out)

        with stream:
            yield write
    finally:
        _remove(draft)


def remove_drafts() -> None:
    """Remove what is not whole yet."""
    for draft in tuple(_drafts):
        _remove(draft)


def _remove(draft: Path) -> None:
    with suppress(OSError):
        draft.unlink()
    _drafts.discard(draft)


@contextmanager
def _said(out: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise UsageError(f"{out} exists already: name a new file or remove it") from error
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}") from error


def _refuse_present(out: Path) -> None:
    if os.path.lexists(out):
        raise FileExistsError


def _publish(draft: Path, out: Path) -> None:
    """Give `draft` its name, which a file that has come meanwhile keeps."""
    try:
        os.link(draft, out)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        _refuse_present(out)
        draft.rename(out)
