# SPDX-License-Identifier: GPL-2.0-or-later
"""Sourced by GDB: what a person does without gdbfpu."""

from __future__ import annotations

import time

import gdb

FUNCTION = "copy_fpstate_to_sigframe"
TASK = "((struct task_struct *) kgdb_info[kgdb_active.counter].task)"


class Nothing(gdb.Breakpoint):
    """A breakpoint that counts, and stops at the last of `hits`."""

    def __init__(self, hits: int) -> None:
        super().__init__(FUNCTION)
        self.left = hits
        self.first = self.last = 0.0

    def stop(self) -> bool:
        self.last = time.time()
        self.first = self.first or self.last
        self.left -= 1
        return self.left <= 0


def nothing(hits: int) -> None:
    """Print how many of `hits` there were in a second, and when the first was."""
    point = Nothing(hits)
    gdb.execute("continue", to_string=True)
    if hits > 1:
        print("RATE", (hits - 1) / (point.last - point.first))
    print("FIRST", point.first)


def by_hand(hits: int) -> None:
    """Look at `hits` hits with GDB's own commands; print how many there were in a second."""
    gdb.Breakpoint(FUNCTION)
    gdb.execute("continue", to_string=True)
    started = time.time()
    for _ in range(hits):
        for command in ("bt", "info threads", f"print {TASK}->thread.fpu", "continue"):
            gdb.execute(command, to_string=True)
    print("RATE", hits / (time.time() - started))


def lx_ps() -> None:
    """List all processes by address, pid and name: `init_task` and what its list leads to."""
    kind = gdb.lookup_type("struct task_struct").pointer()
    offset = int(gdb.parse_and_eval("(long)&((struct task_struct *) 0)->tasks"))
    first = task = gdb.parse_and_eval("init_task").address
    while True:
        print(hex(int(task)), int(task["pid"]), task["comm"].string(errors="replace"))
        node = task["tasks"]["next"]
        task = gdb.Value(int(node) - offset).cast(kind)
        if task == first:
            return


def clock() -> None:
    """Print the time, in seconds."""
    print("CLOCK", time.monotonic())
