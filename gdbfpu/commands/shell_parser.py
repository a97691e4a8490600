# SPDX-License-Identifier: GPL-2.0-or-later
"""The parser of the command `gdbfpu` itself, which has the other commands as its verbs."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from gdbfpu import __version__
from gdbfpu.commands.parser import HelpShown, Parser
from gdbfpu.commands.parsers import SHELL

__all__ = ("ABOUT", "shell_parser")

ABOUT = "Decode x86 FPU state, read traces and memory dumps, show layouts of kernel types."
"""What the command does, for its help."""

_EXAMPLES = """\
examples:
  gdbfpu report hits.jsonl                              who used the FPU in a trace
  gdbfpu export hits.jsonl --to html --out hits.html    the trace as a page, for a browser
  gdbfpu show hits.jsonl --hit 7                        one hit, with its registers
  gdbfpu decode core --thread 42                        the registers of a thread in a core file
  gdbfpu audit --all --core DUMP --vmlinux vmlinux      what is wrong in a memory dump

exit status: 0; 1 if the command failed, if parts of a file could not be read, which standard error
or the text names, or if `gdbfpu doctor` has found trouble; 3 if `gdbfpu audit` has findings or
could not read everything."""


def shell_parser(whole: bool = False) -> Parser[Any]:
    """Return the parser that handles wrong commands and the main help.

    With `whole`, its verbs have their own parsers, which takes a while; else they have no options.
    """
    parser: Parser[Any] = Parser(prog="gdbfpu", description=ABOUT, epilog=_EXAMPLES)
    parser.add("--version", action=_Version, nargs=0, help="show the version")
    commands = parser.add_subparsers(
        dest="command",
        required=True,
        metavar="COMMAND",
        parser_class=_made if whole else Parser,  # type: ignore[arg-type]
    )
    for name, command in SHELL.items():
        more: dict[str, Any] = {"parser": command.parser()} if whole else {}
        commands.add_parser(name, help=command.about, **more)
    return parser


def _made(parser: Parser[Any], **_: Any) -> Parser[Any]:
    """Return the parser that is there already, where argparse wants to make one."""
    return parser


class _Version(argparse.Action):
    def __call__(self, *_: Any) -> NoReturn:
        raise HelpShown(f"gdbfpu {__version__}")
