# SPDX-License-Identifier: GPL-2.0-or-later
"""The event file: JSON Lines, first a header, then one object per hit.

Each line is flushed at once, so a killed session loses at most the line being written.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gdbfpu import __version__
from gdbfpu.errors import writing
from gdbfpu.fpu.model import FpuModel
from gdbfpu.private import new_private_file

__all__ = ("SCHEMA", "EventWriter", "Hit", "header")

SCHEMA = 1
"""The version of the event file's format. It increases when a key changes its meaning."""


@dataclass(frozen=True)
class Hit:
    """One pass through a probed function. The fields are the keys of the event file.

    - `task`, `pid`, `tgid`, `comm`, `fpu`: the task that owns the FPU state.
    - `thread`: GDB's thread of that task; under QEMU's gdbstub, the thread of the CPU.
    - `caller_pid`, `caller_comm`: the running task; not the same task when a tracer reads its
      child.
    - `uses_fpu`: whether the task uses the FPU, as far as we know at this hit; None: not known yet.
      `why` is the reason.
    - `xfeatures`, `xcomp_bv`: the XSAVE header; None with `--state none`.
    - `raw`: the image in memory as hex, with `--state full` only.
    - `registers`: by name, those that the CPU has, as hex; with `--state full` only, and only if
      the CPU holds the task's state and the stub shows it.
    """

    seq: int
    time_ns: int
    function: str
    thread: int | None
    pid: int
    tgid: int
    comm: str
    cpu: int
    task: str
    fpu: str
    xfeatures: str | None
    xcomp_bv: str | None
    components: tuple[str, ...]
    live: bool
    backtrace: tuple[str, ...]
    caller_pid: int
    caller_comm: str
    uses_fpu: bool | None = None
    why: str = ""
    raw: str | None = None
    registers: Mapping[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object of the hit's line in the event file."""
        data = dict(vars(self))
        for name in ("raw", "registers"):
            if data[name] is None:
                del data[name]
        return data


class EventWriter:
    """Writes a new event file, which nobody else can read. It never overwrites an existing file."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self._whole = 0  # bytes of whole lines
        with writing(path):
            self._stream = new_private_file(path)
            try:
                self.write({"schema": SCHEMA, **header})
            except OSError:
                self.close()
                path.unlink()
                raise

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one whole line, or nothing; raise OSError when the disk is full.

        So it does when the file, or its directory, was removed: nobody could read the line.
        """
        if not os.fstat(self._stream.fileno()).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "it was removed")
        line = (json.dumps(event, ensure_ascii=True) + "\n").encode("ascii")
        rest, whole = line, self._whole + len(line)
        try:
            while rest:
                rest = rest[self._stream.write(rest) or 0 :]
            self._whole = whole
        finally:
            if rest:
                self._stream.truncate(self._whole)
                self._stream.seek(self._whole)

    def close(self) -> None:
        """Close the file. Every line in it is whole."""
        self._stream.close()


def header(model: FpuModel, build_id: str, *, fast: bool = False) -> dict[str, Any]:
    """Return the header of an event file for the kernel of `model` with `build_id` (hex).

    `fast`: the kernel itself records the hits.
    """
    return {
        "gdbfpu": __version__,
        "kernel": model.kernel.banner(),
        "build_id": build_id,
        "stub": model.kernel.target.stub.name,
        "switching": model.switching,
        "xsave_format": model.format,
        "recorded": "kernel" if fast else "debugger",
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
