# SPDX-License-Identifier: GPL-2.0-or-later
"""Declare the commands to GDB. invoke() turns our errors into errors that GDB prints.

The code of the commands is imported when the first command runs, so that gdbfpu loads fast.
"""

from __future__ import annotations

from typing import Any

import gdb

from gdbfpu.commands.completion import complete
from gdbfpu.commands.parser import HelpShown, Parser
from gdbfpu.commands.parsers import GDB
from gdbfpu.errors import GdbFpuError
from gdbfpu.text.printable import one_line

__all__ = ("register_commands",)


class _Command(gdb.Command):  # type: ignore[misc]
    """A GDB command whose usage, help and completion come from its parser."""

    def __init__(self, parser: Parser[Any]) -> None:
        self.__doc__ = _documentation(parser)
        self._parser = parser
        super().__init__(parser.prog, gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Run the command; every error becomes one line."""
        self.dont_repeat()
        try:
            options = self._parser.parse(gdb.string_to_argv(argument))
            from gdbfpu.dbg.commands import run
            from gdbfpu.dbg.terminal import screen

            run(options, screen(self._parser.prog, from_tty))
        except HelpShown as shown:
            gdb.write(f"{shown}\n")
        except (gdb.GdbError, KeyboardInterrupt):
            raise
        except GdbFpuError as error:
            raise gdb.GdbError(f"{self._parser.prog}: {one_line(str(error))}") from error
        except Exception as error:
            text = f"{type(error).__name__}: {error}".splitlines()[0]
            raise gdb.GdbError(f"{self._parser.prog}: {text}") from error

    def complete(self, text: str, word: str | None) -> list[str]:
        """Return the completions of `word`, which is the last word of `text` as GDB breaks words.

        GDB first calls this without a word, to learn where words break, and ignores the list.
        """
        typed = text.split(" ")[-1]
        cut = 0 if word is None else len(typed) - len(word)
        return [c[cut:] for c in complete(self._parser, text)]


def _documentation(parser: Parser[Any]) -> str:
    """Return the parser's help as GDB wants it: `apropos` shows the first line alone."""
    description = f"{parser.description or ''}"
    usage = parser.format_help().replace(f"{description}\n\n", "", 1)
    return f"{description.rstrip()}\n\n{usage}"


def register_commands() -> None:
    """Create the commands in GDB."""
    for command in GDB.values():
        _Command(command.parser())
