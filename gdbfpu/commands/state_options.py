# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `fpu-state`."""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.commands.dump_options import add_dump
from gdbfpu.commands.from_cpu_options import add_from_cpu
from gdbfpu.commands.names import components
from gdbfpu.commands.parser import Live, Parser, Several
from gdbfpu.commands.task_options import TaskOptions, add_task

__all__ = ("StateOptions", "state_parser")


@dataclass(eq=False, repr=False)
class StateOptions(TaskOptions):
    """The options of `fpu-state`: the state of a task or of a signal frame.

    `components` are those to show (empty: all), `diff` names another task to compare with
    (empty: none). `sigframe` is an expression for the frame's user address. If it is empty, the
    address is the argument of the function where the CPU stopped. If it is None, the command shows
    a task's state. `from_cpu` asks the stopped CPU for its registers.
    """

    components: tuple[str, ...] = ()
    raw: bool = False
    format: str = "table"
    diff: str = ""
    sigframe: str | None = None
    from_cpu: bool = False


def state_parser(stopped: bool = True) -> Parser[StateOptions]:
    """Return the parser of `fpu-state`, or of `gdbfpu state` if no kernel is `stopped`.

    `gdbfpu state` has no --sigframe.
    """
    more = "With --sigframe, show what the kernel wrote to a user stack." if stopped else ""
    parser = Parser(
        StateOptions,
        prog="fpu-state" if stopped else "gdbfpu state",
        description=f"Show a task's whole FPU state, in memory or live in a CPU.\n{more}",
    )
    add = parser.add
    task, comm = add_task(parser, stopped)
    add("--component", action=Several, metavar="NAME", dest="components",
        completions=components,
        help="show only this state component; may be repeated")  # fmt: skip
    raw = add("--raw", action="store_true",
        help="dump the bytes in memory, even those that the header marks as unused")  # fmt: skip
    form = add("--format", choices=("table", "json"), help="default: %(default)s")
    diff = add("--diff", metavar="OTHER", completions=(Live.PIDS,),
        help="compare with this other task: show only registers that differ")  # fmt: skip
    parser.add_conflicts((raw, form), (diff, raw))
    if stopped:
        asked = add_from_cpu(parser)
        frame = add("--sigframe", nargs="?", const="", metavar="ADDRESS",
            help="decode the FPU part of the signal frame at this user address (default: the "
            "argument of the function where the CPU stopped)")  # fmt: skip
        parser.add_conflicts(*((frame, other) for other in (raw, diff, task, comm, asked)))
        parser.add_conflicts((raw, asked))
    else:
        add_dump(parser)
    return parser
