# SPDX-License-Identifier: GPL-2.0-or-later
"""A hit's record, as the event file has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ("Hit",)


@dataclass(frozen=True)
class Hit:
    """One pass through a probed function; the fields are the keys of the event file.

    `task`, `pid`, `tgid`, `comm`, `fpu` tell whose FPU state it was, `thread` that task's GDB
    thread (the vCPU under QEMU's gdbstub); `caller_pid` and `caller_comm` the task that ran,
    another one when a tracer reads its child. `uses_fpu` tells whether the task was
    by then known to use the FPU, None while that is open, `why` what it rests on. `xfeatures` and
    `xcomp_bv` are None with `--state none`, `raw` is the image as hex with `--state full`.
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

    def to_json(self) -> dict[str, Any]:
        """Return the hit as the object of its line in the event file."""
        data = dict(vars(self))
        if self.raw is None:
            del data["raw"]
        return data
