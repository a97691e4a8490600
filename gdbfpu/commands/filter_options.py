# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that choose hits of an event file."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

from gdbfpu.commands.names import functions
from gdbfpu.commands.parser import Options, Parser, Several
from gdbfpu.commands.values import number
from gdbfpu.report.event_filter import HitFilter
from gdbfpu.xsave.features import NUMBERS

__all__ = ("FilterOptions", "add_filters", "hit_filter")


@dataclass(eq=False, repr=False)
class FilterOptions(Options):
    """Which hits count; see HitFilter. `probes` are functions, `components` their names."""

    pids: tuple[int, ...] = ()
    comms: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    cpus: tuple[int, ...] = ()
    components: tuple[str, ...] = ()
    since: float = 0.0
    until: float | None = None


def add_filters(parser: Parser[Any]) -> tuple[argparse.Action, ...]:
    """Add the options that choose hits, and return them."""
    add = parser.add
    return (
        add("--pid", action=Several, type=number, metavar="PID", dest="pids",
            help="only hits of this task; may be repeated, as each of these options"),
        add("--comm", action=Several, metavar="GLOB", dest="comms",
            help="only hits of tasks with this name, which may be a glob"),
        add("--probe", action=Several, metavar="FUNCTION", dest="probes",
            completions=functions, help="only hits of this function"),
        add("--cpu", action=Several, type=number, metavar="N", dest="cpus",
            help="only hits on this CPU"),
        add("--component", action=Several, metavar="NAME", dest="components",
            choices=tuple(NUMBERS), help="only hits with this component (x87, SSE, AVX, ...)"),
        add("--since", type=_seconds, metavar="SECONDS",
            help="only hits from this time on, counted from the file's first hit"),
        add("--until", type=_seconds, metavar="SECONDS", help="only hits before this time"),
    )  # fmt: skip


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def hit_filter(options: FilterOptions) -> HitFilter | None:
    """Return the filter that `options` ask for; None if all hits count."""
    chosen = HitFilter(
        pids=options.pids,
        comms=options.comms,
        functions=options.probes,
        cpus=options.cpus,
        components=sum(1 << NUMBERS[name] for name in set(options.components)),
        since=options.since,
        until=options.until,
    )
    return None if chosen == HitFilter() else chosen
