# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `fpu-audit`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from gdbfpu.commands.dump_options import add_dump
from gdbfpu.commands.from_cpu_options import add_from_cpu
from gdbfpu.commands.parser import Parser
from gdbfpu.commands.task_options import TaskOptions, add_task
from gdbfpu.commands.values import file_name

__all__ = ("AuditOptions", "audit_parser")


@dataclass(eq=False, repr=False)
class AuditOptions(TaskOptions):
    """The options of `fpu-audit`: one task or `all`, a byte `map`, or a signal frame.

    `reveal` shows bytes, which may be secrets. `out` is a new file to write. With `fail`, findings
    are a failure. `sigframe` is as in StateOptions. `inject` names the rule whose defect to plant
    (empty: none); it needs `laboratory`. `from_cpu` asks the stopped CPU for its registers.
    """

    all: bool = False
    map: bool = False
    reveal: bool = False
    format: str = "table"
    out: Path | None = None
    fail: bool = False
    sigframe: str | None = None
    inject: str = ""
    laboratory: bool = False
    from_cpu: bool = False


def audit_parser(stopped: bool = True) -> Parser[AuditOptions]:
    """Return the parser of `fpu-audit`, or of `gdbfpu audit` if no kernel is `stopped`.

    `gdbfpu audit` has no options that write memory or need a stopped CPU.
    """
    parser = Parser(
        AuditOptions,
        prog="fpu-audit" if stopped else "gdbfpu audit",
        description="Check the FPU memory of one task or of all tasks.\n"
        "It finds stale register data, damaged headers, and owners that contradict one another.",
    )
    add = parser.add
    task, comm = add_task(parser, stopped)
    every = add("--all", action="store_true", help="audit every task, every CPU and the kernel")
    byte_map = add("--map", action="store_true",
        help="show what each byte of the task's area is, and which code copies stale bytes"
        )  # fmt: skip
    add("--reveal", action="store_true", help="show the bytes themselves: they may be secrets")
    add("--format", choices=("table", "json", "sarif"),
        help="default: %(default)s; SARIF 2.1.0 is the format of code scanners")  # fmt: skip
    add("--out", type=file_name, metavar="FILE", help="write the audit to this new file")
    parser.add_conflicts((task, every), (comm, every), (byte_map, every))
    if stopped:
        frame, inject, fail = _add_stopped(parser)
        asked = add_from_cpu(parser)
        parser.add_conflicts((byte_map, fail), (byte_map, asked))
        parser.add_conflicts((frame, asked), (inject, asked))
        parser.add_conflicts((inject, every), (byte_map, inject), (byte_map, frame))
        parser.add_conflicts((frame, task), (frame, comm), (frame, every))
    else:
        add_dump(parser)
    return parser


def _add_stopped(parser: Parser[AuditOptions]) -> tuple[argparse.Action, ...]:
    add = parser.add
    fail = add("--fail", action="store_true",
        help="fail if there are errors or warnings, or not everything could be read: GDB then ends "
        "with status 3")  # fmt: skip
    frame = add("--sigframe", nargs="?", const="", metavar="ADDRESS",
        help="audit the FPU part of the signal frame at this user address (default: the argument "
        "of the function where the CPU stopped)")  # fmt: skip
    inject = add("--inject", metavar="RULE", completions=_injectable,
        help="plant a defect that RULE finds in the task's memory, audit all tasks, and restore "
        "the memory")  # fmt: skip
    add("--laboratory", action="store_true",
        help="confirm that this is a laboratory machine, so --inject may write to its memory"
        )  # fmt: skip
    return frame, inject, fail


def _injectable() -> tuple[str, ...]:
    from gdbfpu.audit.inject import FRAME_WRITES, WRITES  # slow to import for a parser

    return tuple(dict.fromkeys((*WRITES, *FRAME_WRITES)))
