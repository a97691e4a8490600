# SPDX-License-Identifier: GPL-2.0-or-later
"""The arguments that name one task; several commands have them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from gdbfpu.commands.parser import Live, Options, Parser

__all__ = ("TaskOptions", "add_task")


@dataclass(eq=False, repr=False)
class TaskOptions(Options):
    """The chosen task: `task` is `current`, a pid or an address; `comm` is a name or a glob."""

    task: str = "current"
    comm: str = ""


def add_task(parser: Parser[Any], stopped: bool) -> tuple[argparse.Action, argparse.Action]:
    """Add and return the arguments that name a task. They conflict with each other.

    `current` needs a `stopped` CPU.
    """
    current = ", or `current`, the selected thread's task (default)" if stopped else ""
    task = parser.add("task", nargs="?",
        completions=("current", Live.PIDS) if stopped else (),
        metavar="current|PID|ADDRESS" if stopped else "PID|ADDRESS",
        help=f"a pid, the address of a task_struct or struct fpu{current}")  # fmt: skip
    comm = parser.add("--comm", metavar="NAME", completions=(Live.COMMS,),
        help="the task with this name, which may be a glob")  # fmt: skip
    parser.add_conflicts((task, comm))
    return task, comm
