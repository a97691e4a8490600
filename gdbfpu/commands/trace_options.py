# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `fpu-trace`, one class for each verb."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Union

from gdbfpu.commands.names import functions
from gdbfpu.commands.parser import Live, Options, Parser, Several
from gdbfpu.commands.values import file_name, number
from gdbfpu.probes.jobs import GROUPS

__all__ = (
    "TraceClear",
    "TraceOff",
    "TraceOn",
    "TraceOptions",
    "TraceProbes",
    "TraceStatus",
    "trace_parser",
)


@dataclass(eq=False, repr=False)
class TraceOn(Options):
    """`fpu-trace on`: what to trace, how much to read, and where to write it.

    `probes` and `groups` name functions (both empty: the default ones). `pids` and `comms`
    (globs) select the tasks whose hits count (empty: all). `state` is how much of the FPU state a
    hit reads (`none`, `header`, `full`), `backtrace` how many callers to record, `limit` after how
    many hits to stop (0: never). `condition` is a GDB expression that must be true at a hit
    (empty: none). `stop` keeps the kernel stopped at each recorded hit. `audit` watches calls
    until they return. `step` also plants probes that GDB has to step over on several CPUs. `top`
    redraws a table while the kernel runs. `out` is the event file. `fast` has the kernel record
    hits itself (empty: no): in a `table`, in a `ring`, or in a table where possible (`auto`).
    `rows` is the size of the table or ring (0: the usual one), `lossy` loses hits if the ring is
    full.
    """

    probes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    comms: tuple[str, ...] = ()
    state: str = "header"
    backtrace: int = 1
    limit: int = 0
    condition: str = ""
    stop: bool = False
    audit: bool = False
    step: bool = False
    quiet: bool = False
    top: bool = False
    out: Path | None = None
    fast: str = ""
    rows: int = 0
    lossy: bool = False


class TraceOff(Options):
    """`fpu-trace off`."""


class TraceStatus(Options):
    """`fpu-trace status`."""


class TraceClear(Options):
    """`fpu-trace clear`."""


@dataclass(eq=False, repr=False)
class TraceProbes(Options):
    """`fpu-trace probes`: which `groups` to list (empty: all)."""

    groups: tuple[str, ...] = ()


TraceOptions = Union[TraceOn, TraceOff, TraceStatus, TraceClear, TraceProbes]
"""The options of any verb of `fpu-trace`."""


def trace_parser() -> Parser[TraceOptions]:
    """Return the parser of `fpu-trace`."""
    parser: Parser[TraceOptions] = Parser(
        prog="fpu-trace",
        description="Record each call of the kernel's FPU functions, and its task.\n"
        "Turn the trace on, `continue`, interrupt with ^C, then run `fpu-report`.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="on|off|status|clear|probes", required=True)

    def verb(name: str, options: type[TraceOptions], text: str) -> Parser[TraceOptions]:
        about = f"{text[0].upper()}{text[1:]}."
        return verbs.add_parser(name, options=options, help=text, description=about)

    _add_on(verb("on", TraceOn, "plant the probes"))
    _add_probes(
        verb(
            "probes",
            TraceProbes,
            "list functions to probe, and which of them this kernel has",
        )
    )
    verb("off", TraceOff, "remove the probes, close the event file, keep the totals")
    verb("status", TraceStatus, "show what is traced, how probes resume, and the hits")
    verb("clear", TraceClear, "forget all totals")
    return parser


def _add_probes(parser: Parser[TraceOptions]) -> None:
    parser.add("--group", action=Several, choices=GROUPS, dest="groups",
        help="list only this group; may be repeated")  # fmt: skip


def _add_on(parser: Parser[TraceOptions]) -> None:
    add = parser.add
    add("--probe", action=Several, metavar="FUNCTION", dest="probes",
        completions=functions,
        help="trace this function; may be repeated (default: signal frame save and sanitizing)"
        )  # fmt: skip
    add("--group", action=Several, choices=GROUPS, dest="groups",
        help="trace the functions of this group; may be repeated")  # fmt: skip
    _add_filters(parser)
    add("--state", choices=("none", "header", "full"),
        help="how much of the FPU state to read at a hit (default: %(default)s)")  # fmt: skip
    add("--backtrace", type=number, metavar="N",
        help="how many callers to record (default: %(default)s)")  # fmt: skip
    add("--limit", type=number, metavar="N",
        help="stop the kernel and turn the trace off after N hits; 0 for no limit (default: "
        "%(default)s)")  # fmt: skip
    stop = add("--stop", action="store_true",
        help="stay stopped at each recorded hit until you `continue`")  # fmt: skip
    add("--audit", action="store_true",
        help="watch each call until it returns, to check signal frames and sanitizing")  # fmt: skip
    add("--step", action="store_true",
        help="over KGDB with several CPUs, also plant probes that GDB has to step over: GDB may "
        "crash and the kernel hang")  # fmt: skip
    add("--quiet", action="store_true",
        help="do not print a line for each hit (default: %(default)s)")  # fmt: skip
    add("--no-quiet", action="store_false", dest="quiet",
        help="print a line for each hit, even after `set fpu quiet on`")  # fmt: skip
    top = add("--top", action="store_true",
        help="instead of a line for each hit, show a table that is redrawn while the kernel runs: "
        "who hits which function, and how often")  # fmt: skip
    parser.add_conflicts((top, stop))
    add("--out", type=file_name, metavar="FILE",
        help="write every hit to this new file, as JSON Lines")  # fmt: skip
    _add_fast(parser)


def _add_fast(parser: Parser[TraceOptions]) -> None:
    add = parser.add
    add("--fast", nargs="?", const="table", choices=("table", "ring", "auto"),
        help="have the kernel record hits itself, without a stop: this writes to the kernel's code "
        "(docs/fast.md). `table` counts by task and function, `ring` keeps each hit, `auto` is "
        "`table`, or a stopping trace where that is not possible (default: table)")  # fmt: skip
    add("--rows", type=number, metavar="N",
        help="with --fast, how many rows the table has (default: 4096), or hits the ring "
        "(default: 65536); a power of two")  # fmt: skip
    add("--lossy", action="store_true",
        help="with --fast ring, lose and count the hits that find the ring full; otherwise the "
        "kernel stops until the ring is read")  # fmt: skip


def _add_filters(parser: Parser[TraceOptions]) -> None:
    add = parser.add
    add("--pid", action=Several, type=number, metavar="PID", dest="pids", completions=(Live.PIDS,),
        help="record only this task; may be repeated. If you combine --pid, --comm and --if, "
        "a hit must match each of them")  # fmt: skip
    add("--comm", action=Several, metavar="GLOB", dest="comms", completions=(Live.COMMS,),
        help="record only tasks with this name, which may be a glob; may be repeated"
        )  # fmt: skip
    add("--if", dest="condition", metavar="EXPR",
        help="record only hits where this GDB expression is true in the frame of the probed "
        "function; quote it as one word: $fpu_reg($fpu_task(), \"mxcsr\") != 0x1f80")  # fmt: skip
