# SPDX-License-Identifier: GPL-2.0-or-later
"""Declare the commands to GDB. invoke() turns our errors into errors that GDB prints.

The code of the commands is imported when the first command runs, so that gdbfpu loads fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import gdb

from gdbfpu.commands.parser import HelpShown, Live, Parser
from gdbfpu.commands.parsers import GDB
from gdbfpu.dbg.overview import Overview
from gdbfpu.dbg.parameters import register_parameters
from gdbfpu.errors import GdbFpuError, described

__all__ = ("register_commands",)


class _Command(gdb.Command):  # type: ignore[misc]
    """A GDB command whose usage, help and completion come from its parser.

    Each verb of the parser is a subcommand, which GDB completes, abbreviates and lists in the
    help of the command. The command itself gets what is no verb, such as `--help`.
    """

    def __init__(self, parser: Parser[Any]) -> None:
        self.__doc__ = _documentation(parser)
        self._parser = parser
        self._name = parser.prog.split()[0]
        super().__init__(parser.prog, gdb.COMMAND_DATA, prefix=bool(parser.verbs))

    def invoke(self, argument: str, from_tty: bool) -> None:
        """Run the command; every error becomes one line."""
        self.dont_repeat()
        try:
            options = self._parser.parse(gdb.string_to_argv(argument))
            from gdbfpu.dbg.commands import run
            from gdbfpu.dbg.terminal import screen

            run(options, screen(self._name, from_tty))
        except HelpShown as shown:
            gdb.write(f"{shown}\n")
        except (gdb.GdbError, KeyboardInterrupt):
            raise
        except GdbFpuError as error:
            from gdbfpu.text.printable import one_line

            raise gdb.GdbError(f"{self._name}: {one_line(str(error))}") from error
        except Exception as error:
            raise gdb.GdbError(f"{self._name}: {described(error)}") from error

    def complete(self, text: str, word: str | None) -> list[str]:
        """Return the completions of `word`, which is the last word of `text` as GDB breaks words.

        GDB first calls this without a word, to learn where words break, and ignores the list.
        """
        from gdbfpu.commands.completion import complete

        if word is None:
            return list(complete(self._parser, text))
        cut = len(text.split(" ")[-1]) - len(word)
        return [c[cut:] for c in complete(self._parser, text, _live)]


def _live(kind: Live) -> Iterable[str]:
    from gdbfpu.dbg.task_words import task_words

    return task_words(kind)


def _documentation(parser: Parser[Any]) -> str:
    """Return the parser's help as GDB wants it: `apropos` shows the first line alone.

    GDB itself adds a list of the verbs.
    """
    description = parser.description or ""
    usage = parser.format_usage() if parser.verbs else parser.format_help()
    return "\n\n".join((description.rstrip(), *_paragraphs(usage, description)))


def _paragraphs(usage: str, description: str) -> Iterator[str]:
    """Yield the paragraphs of `usage` without the `description` in it."""
    for paragraph in usage.split("\n\n"):
        if paragraph.strip() != description.strip():
            yield paragraph.rstrip()


def register_commands() -> None:
    """Create the commands and their settings in GDB."""
    parsers = {name: command.parser() for name, command in GDB.items()}
    verbs = parsers["fpu-trace"].verbs
    for parser in (*parsers.values(), *verbs.values()):
        _Command(parser)
    Overview(parsers.values())
    asking = [parsers[name] for name in ("fpu-state", "fpu-info", "fpu-audit")]
    register_parameters(verbs["on"], asking, _Command)
