# SPDX-License-Identifier: GPL-2.0-or-later
"""The standard streams of the command line. Any may be closed, full, or unable to encode a name.

An answer that cannot be printed is an error. A remark that cannot be printed is lost: it never
goes to another stream instead.
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
    """Let standard output and error take any text, and keep the numbers of closed streams.

    A file that is opened while standard error is closed would get its number, and then what is
    meant for a terminal.
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

    Raises BrokenPipeError when its reader has gone, GdbFpuError when it takes no more.
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
    """Print `text` and a newline on standard error, if it takes them."""
    if sys.stderr is None:
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _give_up(sys.stderr)


def standard_input() -> BinaryIO:
    """Return standard input as a stream of bytes; raise UsageError where it is closed."""
    if sys.stdin is None:
        raise UsageError("cannot read standard input: it is closed")
    return sys.stdin.buffer


def _give_up(stream: TextIO) -> None:
    """Send what `stream` still holds nowhere: Python would try again, and complain, at its end."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
