# SPDX-License-Identifier: GPL-2.0-or-later
"""The parser of `fpu-audit`."""

from __future__ import annotations

from gdbfpu.commands.options import add_task
from gdbfpu.commands.parser import Parser

__all__ = ("audit_parser",)

_AT_ODDS = (
    ("task", "comm"),
    ("task", "all"),
    ("comm", "all"),
    ("inject", "all"),
    *(("map", other) for other in ("all", "inject", "sigframe")),
    *(("sigframe", other) for other in ("task", "comm", "all")),
)


def audit_parser(stopped: bool = True) -> Parser:
    """Return the parser; without what writes or needs a stopped CPU where none is `stopped`."""
    parser = Parser(
        at_odds=_AT_ODDS,
        prog="fpu-audit",
        description="Check the FPU memory of a task, or of all, against what must hold there:\n"
        "stale register data, damaged headers, owners that contradict one another.",
    )
    add = parser.add_argument
    add_task(parser, stopped)
    add("--all", action="store_true", help="audit every task, every CPU and the kernel")
    add("--map", action="store_true",
        help="show what each byte of the task's area is, and what copies stale ones")  # fmt: skip
    add("--reveal", action="store_true", help="show the bytes themselves: they may be secrets")
    add("--format", choices=("table", "json", "sarif"), default="table",
        help="default: %(default)s; SARIF 2.1.0 is what code scanners exchange")  # fmt: skip
    add("--out", metavar="FILE", help="write the audit to this new file")
    if stopped:
        _add_stopped(parser)
    return parser


def _add_stopped(parser: Parser) -> None:
    add = parser.add_argument
    add("--sigframe", nargs="?", const="", metavar="ADDRESS",
        help="audit the signal frame's FPU part at this user address (default: the argument of "
        "the function the CPU stopped in)")  # fmt: skip
    add("--inject", default="", metavar="RULE",
        help="plant the defect that RULE finds in the task, audit all, and put the memory back"
        ).completions = _injectable  # type: ignore[attr-defined]  # fmt: skip
    add("--laboratory", action="store_true",
        help="this machine is a laboratory: --inject may write to its memory")  # fmt: skip


def _injectable() -> tuple[str, ...]:
    from gdbfpu.audit.inject import FRAME_WRITES, WRITES  # they need more than a parser should

    return tuple(dict.fromkeys((*WRITES, *FRAME_WRITES)))
