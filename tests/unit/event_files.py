# SPDX-License-Identifier: GPL-2.0-or-later
"""Event files, written by hand: a header, two hits, and a function that writes a file."""

from __future__ import annotations

import json

SIGFRAME, SANITIZE = "copy_fpstate_to_sigframe", "fpstate_sanitize_xstate"
HEADER = {
    "schema": 1,
    "gdbfpu": "0.1.0",
    "kernel": "Linux version 4.4.60 (me@here)",
    "build_id": "ab",
    "stub": "kgdb",
    "switching": "lazy",
    "xsave_format": "standard",
    "recorded": "debugger",
    "started": "2026-11-22T01:38:11+0000",
}
HIT = {
    "seq": 1,
    "time_ns": 1000,
    "function": SIGFRAME,
    "thread": 7,
    "pid": 30,
    "tgid": 29,
    "comm": "Xorg",
    "cpu": 1,
    "task": "0xffff888000001000",
    "fpu": "0xffff888000001700",
    "xfeatures": "0x7",
    "xcomp_bv": "0x0",
    "components": ["x87", "SSE", "AVX"],
    "live": True,
    "backtrace": ["get_sigframe"],
    "caller_pid": 30,
    "caller_comm": "Xorg",
    "uses_fpu": True,
    "why": "AVX values in memory at hit 1",
}
OTHER = {**HIT, "pid": 31, "tgid": 31, "comm": "intonly", "task": "0xffff888000002000",
         "uses_fpu": False, "why": "a kernel thread", "xfeatures": None, "components": [],
         "thread": None}  # fmt: skip


def written(path, *hits, header=HEADER, end=b""):
    """Write a file of these objects and of lines given as bytes; return its path."""
    lines = [header, *hits]
    data = (e if isinstance(e, bytes) else json.dumps(e).encode() for e in lines)
    path.write_bytes(b"".join(line + b"\n" for line in data) + end)
    return path
