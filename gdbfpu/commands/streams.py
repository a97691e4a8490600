# SPDX-License-Identifier: GPL-2.0-or-later
"""The standard streams of the command line. Each may be closed or full, or unable to print a name.

An answer that cannot be printed is an error. A remark that cannot be printed is dropped; it never
goes to another stream.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import BinaryIO, TextIO

from gdbfpu.errors import GdbFpuError, UsageError

__all__ = ("prepare", "remark", "show", "standard_input")


def prepare() -> None:
    """Let standard output and error take any text, and reserve the numbers of closed streams.

    Otherwise a file that we open while standard error is closed would get number 2, and remarks
    would be written into that file.
    """
    number = 0
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show(text: str) -> None:
    """Print `text` and a newline on standard output.

    Raises BrokenPipeError if the reader has gone, GdbFpuError if the text cannot be written.
    """
    if sys.stdout is None:
        raise GdbFpuError("cannot write the answer: standard output is closed")
    try:
        print(text, flush=True)
    except OSError as error:
        _give_up(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise
        raise GdbFpuError(f"cannot write to standard output: {error.strerror}") from error


def remark(text: str) -> None:
    """Print `text` and a newline on standard error, if possible."""
    if sys.stderr is None:
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _give_up(sys.stderr)


def standard_input() -> BinaryIO:
    """Return standard input as a stream of bytes; raise UsageError if it is closed."""
    if sys.stdin is None:
        raise UsageError("cannot read standard input: it is closed")
    return sys.stdin.buffer


def _give_up(stream: TextIO) -> None:
    """Discard what `stream` has buffered: Python would write it again at exit, and complain."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
