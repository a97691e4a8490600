# SPDX-License-Identifier: GPL-2.0-or-later
"""An event file of any size, in the form that the trace writes."""

from __future__ import annotations

import json
import random
from pathlib import Path

from gdbfpu.trace.event_file import SCHEMA, Hit
from gdbfpu.xsave.features import names

_START = 1_764_000_000_000_000_000  # ns since 1970
_PATHS = (
    ("copy_fpstate_to_sigframe", "get_sigframe"),
    ("copy_fpstate_to_sigframe", "setup_rt_frame"),
    ("fpstate_sanitize_xstate", "xfpregs_get"),
)
_HEADER = {
    "schema": SCHEMA,
    "gdbfpu": "0.1.0",
    "kernel": "Linux version 5.10.223 (bench@localhost)",
    "build_id": "",
    "stub": "kgdb",
    "switching": "eager",
    "xsave_format": "standard",
    "started": "2025-11-24T16:00:00+0000",
}


def write_events(path: Path, hits: int, tasks: int) -> None:
    """Write a file of `hits` hits, from each of `tasks` tasks as many, in no order."""
    rng = random.Random(6)
    order = [number % tasks for number in range(hits)]
    rng.shuffle(order)
    with path.open("x", encoding="ascii") as stream:
        stream.write(json.dumps(_HEADER) + "\n")
        for seq, task in enumerate(order, 1):
            event = _hit(seq, task, rng.randrange(1 << 16)).to_json()
            stream.write(json.dumps(event) + "\n")


def _hit(seq: int, task: int, dice: int) -> Hit:
    function, caller = _PATHS[dice % len(_PATHS)]
    address = 0xFFFF888000000000 + 0x2000 * task
    return Hit(
        seq=seq,
        time_ns=_START + seq * 20_000_000 + dice,
        function=function,
        thread=task + 2,
        pid=task + 100,
        tgid=task + 100,
        comm=f"task{task}",
        cpu=dice & 1,
        task=f"{address:#x}",
        fpu=f"{address + 0x700:#x}",
        xfeatures="0x21f",
        xcomp_bv="0x0",
        components=names(0x21F),
        live=bool(dice & 2),
        backtrace=(caller,),
        caller_pid=task + 100,
        caller_comm=f"task{task}",
        uses_fpu=bool(task % 3),
        why="AVX values in the frame of hit 3" if task % 3 else "initial in 3 frames",
    )
