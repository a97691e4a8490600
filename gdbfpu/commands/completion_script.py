# SPDX-License-Identifier: GPL-2.0-or-later
"""The scripts that let a shell complete the words of `gdbfpu`, made from the parsers by shtab.

A script has all words in it, so that no TAB starts Python.
"""

from __future__ import annotations

from typing import Any

from gdbfpu.commands.parser import Parser
from gdbfpu.commands.parsers import SHELL
from gdbfpu.commands.shell_parser import shell_parser
from gdbfpu.commands.values import file_name, stored_file

__all__ = ("completion_script",)


def completion_script(shell: str) -> str:
    """Return the script for `shell`: `bash`, `zsh` or `fish`."""
    import shtab

    parser = shell_parser(whole=True)
    for name, verb in parser.verbs.items():
        verb.description = SHELL[name].about  # shown beside the verb
        _mark(verb, shtab.FILE)
    script: str = shtab.complete(parser, shell)
    # Of several files, shtab 1.13 has zsh complete the first only.
    return script.replace('"(*)::', '"*:')


def _mark(parser: Parser[Any], file: Any) -> None:
    """Tell shtab what completes each value: `file` for the name of a file."""
    for action in parser._actions:
        if action.type in (file_name, stored_file):
            action.complete = file  # type: ignore[attr-defined]
        else:
            words = [word for word in parser.completions(action) if isinstance(word, str)]
            action.choices = words or None
