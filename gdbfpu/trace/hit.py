# SPDX-License-Identifier: GPL-2.0-or-later
"""The record of a hit, as in the event file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ("Hit",)


@dataclass(frozen=True)
class Hit:
    """One pass through a probed function. The fields are the keys of the event file.

    - `task`, `pid`, `tgid`, `comm`, `fpu`: the task that owns the FPU state.
    - `thread`: GDB's thread of that task; under QEMU's gdbstub, the thread of the CPU.
    - `caller_pid`, `caller_comm`: the running task; not the same task when a tracer reads its
      child.
    - `uses_fpu`: whether the task uses the FPU as far as known at this hit; None: not known yet.
      `why` is the reason.
    - `xfeatures`, `xcomp_bv`: the XSAVE header; None with `--state none`.
    - `raw`: the image as hex, with `--state full` only.
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
        """Return the object of the hit's line in the event file."""
        data = dict(vars(self))
        if self.raw is None:
            del data["raw"]
        return data
