# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of gdbfpu: everything that needs no debugger, for images, dumps and vmlinux.

A command imports its modules when it runs: importing all of them takes longer than most commands.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, Callable, NoReturn

from gdbfpu import __version__
from gdbfpu.commands.dependencies import PACKAGES
from gdbfpu.commands.parser import HelpShown, Parser
from gdbfpu.commands.streams import remark, show
from gdbfpu.errors import GdbFpuError
from gdbfpu.text.printable import one_line

__all__ = ("main",)

_ABOUT = "Decode x86 FPU state, read traces and memory dumps, show layouts of kernel types."
_EXAMPLES = """\
examples:
  gdbfpu report hits.jsonl                              who used the FPU in a trace
  gdbfpu export hits.jsonl --to perfetto --out t.json   the trace as a timeline
  gdbfpu show hits.jsonl --hit 7                        one hit, with its registers
  gdbfpu decode core --thread 42                        the registers of a thread in a core file
  gdbfpu audit --all --core DUMP --vmlinux vmlinux      what is wrong in a memory dump

exit status: 0; 1 if the command failed, or parts of a file could not be read, which standard error
or the text names; 3 if `gdbfpu audit` has findings or could not read everything."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `arguments` (default: those of sys.argv); return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except ModuleNotFoundError as error:
        package = PACKAGES.get((error.name or "").split(".")[0])
        if package is None:
            raise
        remark(f"gdbfpu: the Python package {package} is missing: install it, or run `make setup`")
        return 1
    except GdbFpuError as error:
        remark(f"gdbfpu: {one_line(str(error))}")
        return 1
    except BrokenPipeError:  # the reader has stopped reading: `gdbfpu decode FILE | head`
        return 1


def _run(words: Sequence[str]) -> int:
    try:
        if words and words[0] in _COMMANDS:
            return _COMMANDS[words[0]][1](words[1:])
        _parser().parse(words or ["--help"])
    except HelpShown as shown:
        show(str(shown))
    return 0


def _parser() -> Parser[Any]:
    """Return the parser that handles wrong commands and the main help."""
    parser: Parser[Any] = Parser(prog="gdbfpu", description=_ABOUT, epilog=_EXAMPLES)
    parser.add("--version", action=_Version, nargs=0, help="show the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, _) in _COMMANDS.items():
        commands.add_parser(name, help=text)
    return parser


class _Version(argparse.Action):
    def __call__(self, *_: Any) -> NoReturn:
        raise HelpShown(f"gdbfpu {__version__}")


def _decode(words: Sequence[str]) -> int:
    from gdbfpu.commands.decode import decode_texts
    from gdbfpu.commands.decode_options import decode_parser

    for text in decode_texts(decode_parser().parse(words)):
        show(text)
    return 0


def _layout(words: Sequence[str]) -> int:
    from gdbfpu.commands.layout import layout_text
    from gdbfpu.commands.layout_options import layout_parser

    show(layout_text(layout_parser().parse(words)))
    return 0


def _show(words: Sequence[str]) -> int:
    from gdbfpu.commands.show import show_hit
    from gdbfpu.commands.show_options import show_parser

    return show_hit(show_parser().parse(words))


def _diff(words: Sequence[str]) -> int:
    from gdbfpu.commands.show import diff_hits
    from gdbfpu.commands.show_options import diff_parser

    return diff_hits(diff_parser().parse(words))


def _compare(words: Sequence[str]) -> int:
    from gdbfpu.commands.compare import compare
    from gdbfpu.commands.compare_options import compare_parser

    return compare(compare_parser().parse(words))


def _export(words: Sequence[str]) -> int:
    from gdbfpu.commands.export import export
    from gdbfpu.commands.export_options import export_parser

    return export(export_parser().parse(words))


def _of_dump(command: str, words: Sequence[str]) -> int:
    from gdbfpu.kdump.commands import answer

    return answer(command, words)


_COMMANDS: dict[str, tuple[str, Callable[[Sequence[str]], int]]] = {
    "decode": ("show what an FPU state image contains", _decode),
    "show": ("show one hit of an event file, with its registers", _show),
    "diff": ("show what changed between two hits of an event file", _diff),
    "compare": ("show what changed between two event files", _compare),
    "export": ("write an event file as CSV, Markdown, flame graph or timeline", _export),
    "layout": ("show the offsets of members of kernel types", _layout),
    "report": (
        "list the tasks that use the FPU, from a dump or an event file",
        partial(_of_dump, "report"),
    ),
    "state": ("show a task's FPU state, from a dump", partial(_of_dump, "state")),
    "info": ("show how the kernel handles the FPU, from a dump", partial(_of_dump, "info")),
    "audit": (
        "check the FPU memory of one task or of all, from a dump",
        partial(_of_dump, "audit"),
    ),
}
