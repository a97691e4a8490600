# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the lines of an event file once, as a stream, in bounded memory.

The file is untrusted. Lines that cannot be read are counted and skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable

from gdbfpu.errors import CorruptState, UsageError
from gdbfpu.private import of_this_user
from gdbfpu.text.printable import one_line
from gdbfpu.trace.event_file import SCHEMA

__all__ = ("MAX_LINE", "EventLines", "Header", "open_events")

MAX_LINE = 1 << 18
"""The longest line to read, in bytes. A line with AMX state (`--state full`) has some 23,000."""

_NO_JSON = "not JSON"
_CUT = "cut short, as when a session is killed"
_MAX_TEXT = 512  # characters of a value in the header
_STEP = 256  # lines between two calls of `progress`
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Header:
    """What the first line says: the kernel's banner, how it switches and in which format it saves.

    `switching` is `lazy`, `eager` or `unknown`, `xsave_format` and `started` (ISO 8601) are empty
    if they are not known.
    """

    kernel: str
    switching: str
    xsave_format: str
    started: str


class EventLines:
    """The event file in `stream`, which is at its first line. `name` is for messages.

    `progress` is called with the number of lines read so far. Raises UsageError if the first line
    is not the header of an event file with this schema, or if `stream` cannot be read.
    """

    def __init__(self, stream: BinaryIO, name: str, progress: Callable[[int], None]) -> None:
        self._stream, self._progress = stream, progress
        self.name = one_line(name)
        self._number = 1
        self._bad: dict[str, list[int]] = {}  # by defect, its count and its first line
        self.header = self._header()

    def each(self, take: Callable[[dict[str, Any]], object]) -> None:
        """Call `take` with the object of each line after the header.

        A line that `take` refuses (CorruptState, KeyError, TypeError) counts as defective.
        """
        for line in self._lines():
            try:
                take(_object(line))
            except CorruptState as error:
                why = str(error)
                self._note(why if line.endswith(b"\n") or why != _NO_JSON else _CUT)
            except KeyError as error:
                self._note(f"{error} is missing")
            except TypeError:  # a list instead of a string, say
                self._note("a value has the wrong type")
            if not self._number % _STEP:
                self._progress(self._number)

    def defects(self) -> tuple[str, ...]:
        """Return what was wrong with lines, one text for each kind."""
        return tuple(
            f"line {first}: {why}" if count == 1 else f"{count} lines, first line {first}: {why}"
            for why, (count, first) in self._bad.items()
        )

    def _header(self) -> Header:
        try:
            header = _object(self._stream.readline(MAX_LINE))
            schema = header["schema"]
        except (CorruptState, KeyError) as error:
            raise UsageError(
                f"{self.name} is not an event file: write one with `fpu-trace on --out`"
            ) from error
        except OSError as error:
            raise UsageError(f"cannot read {self.name}: {error.strerror}") from error
        if type(schema) is not int or schema != SCHEMA:
            raise UsageError(
                f"{self.name} has a schema other than {SCHEMA}: read it with the gdbfpu that "
                "wrote it"
            )
        switching = header.get("switching")
        return Header(
            _text(header.get("kernel")) or "?",
            switching if switching in ("lazy", "eager") else "unknown",
            _text(header.get("xsave_format")),
            _text(header.get("started")),
        )

    def _lines(self) -> Iterator[bytes]:
        """Yield each line; note those that are too long, and go past them."""
        try:
            while line := self._stream.readline(MAX_LINE):
                self._number += 1
                if len(line) < MAX_LINE or line.endswith(b"\n"):
                    yield line
                    continue
                self._note(f"longer than {MAX_LINE} bytes")
                while line and not line.endswith(b"\n"):
                    line = self._stream.readline(MAX_LINE)
        except OSError as error:
            raise UsageError(f"cannot read {self.name}: {error.strerror}") from error

    def _note(self, why: str) -> None:
        self._bad.setdefault(why, [0, self._number])[0] += 1


@contextmanager
def open_events(path: Path, progress: Callable[[int], None]) -> Iterator[EventLines]:
    """Yield the lines of the event file `path`.

    Raises UsageError if it cannot be read or belongs to another user, who may change it meanwhile.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {one_line(str(path))}: {error.strerror}") from error
    with stream:
        if not of_this_user(stream.fileno()):
            raise UsageError(f"{one_line(str(path))} belongs to another user: read a copy of it")
        yield EventLines(stream, str(path), progress)


def _object(line: bytes) -> dict[str, Any]:
    """Return the JSON object that is all of `line`; raise CorruptState."""
    try:
        text = line.strip().decode()
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, an int of 5,000 digits
        raise CorruptState(_NO_JSON) from error
    if end != len(text):
        raise CorruptState(_NO_JSON)
    if type(value) is not dict:
        raise CorruptState("not a JSON object")
    return value


def _text(value: Any) -> str:
    """Return `value` if it is a string, fit for a terminal, else an empty one."""
    return one_line(value[:_MAX_TEXT])[:_MAX_TEXT] if isinstance(value, str) else ""
