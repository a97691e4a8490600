# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of gdbfpu: everything that needs no debugger, for images, dumps and vmlinux.

A command imports its modules when it runs: importing all of them takes longer than most commands.
Which commands there are, and with which options, `commands/parsers` says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from gdbfpu import __version__
from gdbfpu.commands.dependencies import PACKAGES
from gdbfpu.commands.parser import HelpShown, Parser
from gdbfpu.commands.parsers import SHELL
from gdbfpu.commands.streams import remark, show
from gdbfpu.errors import GdbFpuError
from gdbfpu.text.printable import one_line

if TYPE_CHECKING:
    from gdbfpu.commands.compare_options import CompareOptions
    from gdbfpu.commands.decode_options import DecodeOptions
    from gdbfpu.commands.export_options import ExportOptions
    from gdbfpu.commands.layout_options import LayoutOptions
    from gdbfpu.commands.show_options import DiffOptions, ShowOptions

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
        if words and words[0] in SHELL:
            return _ACTIONS[words[0]](SHELL[words[0]].parser(), words[1:])
        _parser().parse(words or ["--help"])
    except HelpShown as shown:
        show(str(shown))
    return 0


def _parser() -> Parser[Any]:
    """Return the parser that handles wrong commands and the main help."""
    parser: Parser[Any] = Parser(prog="gdbfpu", description=_ABOUT, epilog=_EXAMPLES)
    parser.add("--version", action=_Version, nargs=0, help="show the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in SHELL.items():
        commands.add_parser(name, help=command.about)
    return parser


class _Version(argparse.Action):
    def __call__(self, *_: Any) -> NoReturn:
        raise HelpShown(f"gdbfpu {__version__}")


def _decode(parser: Parser[DecodeOptions], words: Sequence[str]) -> int:
    from gdbfpu.commands.decode import decode_texts

    for text in decode_texts(parser.parse(words)):
        show(text)
    return 0


def _layout(parser: Parser[LayoutOptions], words: Sequence[str]) -> int:
    from gdbfpu.commands.layout import layout_text

    show(layout_text(parser.parse(words)))
    return 0


def _show(parser: Parser[ShowOptions], words: Sequence[str]) -> int:
    from gdbfpu.commands.show import show_hit

    return show_hit(parser.parse(words))


def _diff(parser: Parser[DiffOptions], words: Sequence[str]) -> int:
    from gdbfpu.commands.show import diff_hits

    return diff_hits(parser.parse(words))


def _compare(parser: Parser[CompareOptions], words: Sequence[str]) -> int:
    from gdbfpu.commands.compare import compare

    return compare(parser.parse(words))


def _export(parser: Parser[ExportOptions], words: Sequence[str]) -> int:
    from gdbfpu.commands.export import export

    return export(parser.parse(words))


def _of_dump(command: str, parser: Parser[Any], words: Sequence[str]) -> int:
    from gdbfpu.kdump.commands import answer

    return answer(command, parser, words)


_ACTIONS: dict[str, Callable[[Parser[Any], Sequence[str]], int]] = {
    "decode": _decode,
    "show": _show,
    "diff": _diff,
    "compare": _compare,
    "export": _export,
    "layout": _layout,
    **{name: partial(_of_dump, name) for name in ("report", "state", "info", "audit")},
}
