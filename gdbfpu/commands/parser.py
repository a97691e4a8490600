# SPDX-License-Identifier: GPL-2.0-or-later
"""The parser of a command, from which its usage, help and completion come.

Nothing here knows GDB. A parser never exits: wrong input is a UsageError of one line.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NoReturn

from gdbfpu.errors import UsageError

__all__ = ("HelpShown", "Parser", "complete")


class HelpShown(Exception):
    """Raised by `--help`: the text is its message."""


# How arguments that contradict one another are called; others are `--NAME`.
_WORDS = {"events": "--from", "format": "--format json", "task": "PID or ADDRESS"}


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises instead of printing and exiting.

    `at_odds` are pairs of arguments, by their names in the namespace, that contradict each other.
    """

    def __init__(self, at_odds: Sequence[tuple[str, str]] = (), **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(add_help=False, allow_abbrev=False, **options)
        self._at_odds = at_odds
        self.add_argument("-h", "--help", action=_Help, nargs=0, help="show this help")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Return what was given; raise UsageError for what contradicts itself."""
        found, rest = super().parse_known_args(args, namespace)
        given = {name for name, value in vars(found).items() if value != self.get_default(name)}
        for one, other in self._at_odds:
            if {one, other} <= given:
                words = (_WORDS.get(name, f"--{name}") for name in (one, other))
                self.error("{} and {} do not go together".format(*words))
        return found, rest

    def error(self, message: str) -> NoReturn:
        """Raise UsageError saying `message` and how to get help."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise HelpShown(parser.format_help().rstrip())


def complete(parser: argparse.ArgumentParser, text: str) -> tuple[str, ...]:
    """Return what the last word of `text`, a command's arguments so far, can become."""
    words = text.split()
    last = "" if not words or text[-1].isspace() else words.pop()
    for word in words:
        verbs = _verbs(parser)
        parser = verbs.get(word, parser)
    return tuple(sorted(c for c in _candidates(parser, words) if c.startswith(last)))


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _candidates(parser: argparse.ArgumentParser, words: Sequence[str]) -> Iterable[str]:
    option = parser._option_string_actions.get(words[-1]) if words else None
    if option is not None and option.nargs != 0:
        return tuple(option.choices or _completions(option))
    named = (_completions(action) for action in parser._actions if not action.option_strings)
    options = (o for o in parser._option_string_actions if o.startswith("--"))
    return (*_verbs(parser), *chain.from_iterable(named), *options)


def _completions(action: argparse.Action) -> Iterable[str]:
    """Return what an argument's value can be: given as a tuple, or as a function of nothing."""
    found = vars(action).get("completions", ())
    return tuple(found() if callable(found) else found)
