# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of gdbfpu: everything that needs no debugger, for images, dumps and vmlinux.

A command imports its modules when it runs: importing all of them takes longer than most commands.
Which commands there are, and with which options, `commands/parsers` says.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from gdbfpu.commands.dependencies import SHELL_PACKAGES
from gdbfpu.commands.parser import HelpShown, Parser
from gdbfpu.commands.parsers import SHELL
from gdbfpu.commands.shell_parser import shell_parser
from gdbfpu.commands.streams import remark, show
from gdbfpu.errors import GdbFpuError
from gdbfpu.text.printable import one_line

if TYPE_CHECKING:
    from gdbfpu.commands.compare_options import CompareOptions
    from gdbfpu.commands.completion_options import CompletionOptions
    from gdbfpu.commands.decode_options import DecodeOptions
    from gdbfpu.commands.doctor_options import ShellDoctorOptions
    from gdbfpu.commands.export_options import ExportOptions
    from gdbfpu.commands.install_options import InstallOptions
    from gdbfpu.commands.layout_options import LayoutOptions
    from gdbfpu.commands.show_options import DiffOptions, ShowOptions

__all__ = ("main",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `arguments` (default: those of sys.argv); return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except ModuleNotFoundError as error:
        package = SHELL_PACKAGES.get((error.name or "").split(".")[0])
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
        shell_parser().parse(words or ["--help"])
    except HelpShown as shown:
        show(str(shown))
    return 0


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


def _doctor(parser: Parser[ShellDoctorOptions], words: Sequence[str]) -> int:
    options = parser.parse(words)
    from gdbfpu.commands.output import standard_output
    from gdbfpu.doctor.shell import doctor_answer

    text, status = doctor_answer(options, standard_output())
    show(text)
    return status


def _install(parser: Parser[InstallOptions], words: Sequence[str]) -> int:
    parser.parse(words)
    from gdbfpu.commands.install_gdb import install_text

    show(install_text())
    return 0


def _uninstall(parser: Parser[InstallOptions], words: Sequence[str]) -> int:
    parser.parse(words)
    from gdbfpu.commands.install_gdb import uninstall_text

    show(uninstall_text())
    return 0


def _completion(parser: Parser[CompletionOptions], words: Sequence[str]) -> int:
    options = parser.parse(words)
    from gdbfpu.commands.completion_script import completion_script

    show(completion_script(options.shell))
    return 0


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
    "doctor": _doctor,
    "install-gdb": _install,
    "uninstall-gdb": _uninstall,
    "completion": _completion,
    **{name: partial(_of_dump, name) for name in ("report", "state", "info", "audit")},
}
