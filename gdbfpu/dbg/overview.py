# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `fpu`, which lists the others. `help fpu` and `apropos fpu` find it first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gdb

from gdbfpu.commands.parser import Parser

__all__ = ("Overview",)

_NAME = "fpu"
_ABOUT = "Trace and decode how a Linux kernel uses the x86 FPU."
_MORE = (
    ("set fpu", "Set defaults of `fpu-trace on`, and whether text is in colour."),
    ("show fpu", "Show these settings."),
    ("$_fpu_hits", "The number of hits recorded, for scripts."),
    ("$_fpu_errors", "The number of hits that could not be recorded."),
    ("$fpu_reg", "A register of a task, in an expression: `help function fpu_reg`."),
)


class Overview(gdb.Command):  # type: ignore[misc]
    """The command `fpu`: its help has a line for each of `parsers`, the commands."""

    def __init__(self, parsers: Iterable[Parser[Any]]) -> None:
        own = sorted((parser.prog, _first_line(parser)) for parser in parsers)
        rows = (*own, *_MORE)
        width = max(len(name) for name, _ in rows)
        lines = "\n".join(f"  {name:<{width}}  {text}" for name, text in rows)
        more = "Each command has its options in its help, such as `help fpu-trace on`."
        self.__doc__ = f"{_ABOUT}\n\n{lines}\n\n{more}"
        super().__init__(_NAME, gdb.COMMAND_DATA)

    def invoke(self, argument: str, _from_tty: bool) -> None:
        """Show the command's own help."""
        self.dont_repeat()
        if argument:
            raise gdb.GdbError(f"{_NAME}: this lists the commands, and takes no argument")
        gdb.execute(f"help {_NAME}")


def _first_line(parser: Parser[Any]) -> str:
    return (parser.description or "").split("\n", 1)[0]
