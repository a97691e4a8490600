# SPDX-License-Identifier: GPL-2.0-or-later
"""Judge what gdbfpu does with an input: it ends in a result or an error of its own, soon."""

from __future__ import annotations

import gc
import json
import mmap
import os
import resource
import signal
import struct
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.torture.fuzz.target import ROOT, Target

__all__ = ("BYTES", "SECONDS", "Judge", "Progress", "verdict")

SECONDS, BYTES = 2.0, 1 << 30
"""Of CPU time and of memory that an input may cost."""

_CEILING = 3 << 30  # bytes of addresses; an interpreter with atheris has some of them itself
_HEAD = struct.Struct("<QQ")
_ROOM = 1 << 22


class _Slow(BaseException):
    """Too much time has gone by. Nothing in gdbfpu catches it."""


class Progress:
    """A file that says how many inputs were read, and which one is being read.

    It is mapped, so it outlives a process that dies.
    """

    def __init__(self, path: Path) -> None:
        with path.open("a+b") as file:
            file.truncate(_ROOM)
            self._map = mmap.mmap(file.fileno(), _ROOM)

    @property
    def count(self) -> int:
        """How many inputs were begun."""
        return int(_HEAD.unpack_from(self._map)[0])

    @property
    def latest(self) -> bytes:
        """The last one."""
        return self._map[_HEAD.size : _HEAD.size + _HEAD.unpack_from(self._map)[1]]

    def begin(self, data: bytes) -> int:
        """Note the next input; return its number."""
        count = self.count + 1
        self._map[_HEAD.size : _HEAD.size + len(data)] = data
        _HEAD.pack_into(self._map, 0, count, len(data))
        return count


class Judge:
    """Has `target` read inputs until there were `runs` of them, and notes in `folder` what fails.

    Each place that fails counts once.
    """

    def __init__(self, target: Target, folder: Path, runs: int) -> None:
        self._target, self._folder, self._runs = target, folder, runs
        self._progress = Progress(folder / "progress")
        self._places: set[str] = set()
        limit()

    def take(self, data: bytes) -> None:
        """Judge `data`; end the process after the last input."""
        count = self._progress.begin(data)
        place, said = verdict(self._target, data)
        if said and place not in self._places:
            self._places.add(place)
            line = json.dumps({"said": said, "input": data.hex()})
            with (self._folder / "failures").open("a") as file:
                file.write(line + "\n")
        if count >= self._runs:
            os._exit(0)  # libFuzzer has no end that leaves Python's files alone


def limit() -> None:
    """Keep this process from taking all of the machine's memory."""
    resource.setrlimit(resource.RLIMIT_AS, (_CEILING, _CEILING))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def verdict(target: Target, data: bytes) -> tuple[str, str]:
    """Return where and how `target` fails on `data`; both are empty if all is well."""
    from gdbfpu.errors import GdbFpuError  # late: atheris changes it when it is first imported

    began = _spent()
    try:
        with _timed():
            target.read(data)
    except GdbFpuError as error:
        if any(isinstance(each, MemoryError) for each in _chain(error)):
            return _place(error), f"takes too much memory: {error}"
    except _Slow as error:
        return _place(error), f"takes more than {SECONDS} s, in {_place(error)}"
    except BaseException as error:  # noqa: BLE001 - whatever it is
        said = " ".join(str(error).split())
        return _place(error), f"{type(error).__name__}: {said:.300} in {_place(error)}"
    if _spent() - began > SECONDS:
        return "time", f"takes {_spent() - began:.1f} s"
    if _peak() > BYTES:
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        return "memory", f"takes more than {BYTES} bytes"
    return "", ""


@contextmanager
def _timed() -> Iterator[None]:
    """Raise _Slow in the block of code when its time is up."""

    def late(*_: Any) -> None:
        raise _Slow

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _spent() -> float:
    """Return the CPU time of this process and of those that it has forked off, in seconds."""
    times = os.times()
    return sum(times[:4])


def _peak() -> int:
    """Return the most bytes of memory that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _place(error: BaseException) -> str:
    """Return the last line of the project, this file aside, that an error went through."""
    frames = traceback.extract_tb(error.__traceback__)
    project = (f for f in frames if f.filename.startswith(str(ROOT)))
    own = [frame for frame in project if frame.filename != __file__]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
