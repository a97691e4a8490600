# SPDX-License-Identifier: GPL-2.0-or-later
"""The parser of a command: it gives usage, help and completion.

Nothing here knows GDB. A parser never exits: wrong input raises a UsageError with one line. The
result is a dataclass. Its fields name the arguments and hold their defaults.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from enum import Enum, auto
from typing import Any, Callable, Generic, NoReturn, TypeVar, Union, cast

from gdbfpu.errors import UsageError

__all__ = ("HelpShown", "Live", "Options", "Parser", "Several", "picked", "value_of")

_T = TypeVar("_T")


class Live(Enum):
    """Words that only a running system knows: the pids and the names of its tasks."""

    PIDS = auto()
    COMMS = auto()


_Words = Iterable[Union[str, Live]]
_Completions = Union[_Words, Callable[[], _Words]]

_KIND = "options"  # the attribute of a namespace that holds the options' class


class HelpShown(Exception):
    """Raised by `--help`. The message is the help text."""


@dataclass(eq=False, repr=False)
class Options:
    """Base of the dataclasses that parsers return.

    dataclass() would compile these methods for each class anew whenever GDB loads gdbfpu.
    """

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({vars(self)})"


class Several(argparse._AppendAction):
    """The action of an option that may be repeated. Its field is a tuple.

    By its base, others such as shtab know that it may be repeated.
    """

    def __call__(
        self, _parser: Any, namespace: argparse.Namespace, value: Any, _option: Any = None
    ) -> None:
        """Add `value` to the earlier ones."""
        setattr(namespace, self.dest, (*getattr(namespace, self.dest), value))


class Parser(argparse.ArgumentParser, Generic[_T]):
    """An ArgumentParser that returns a dataclass, and raises instead of printing and exiting.

    `options` is the class that `parse` returns. A parser with verbs has no such class: each verb's
    parser has its own.
    """

    def __init__(self, options: type[_T] | None = None, **more: Any) -> None:
        more.setdefault("formatter_class", _Formatter)
        super().__init__(add_help=False, allow_abbrev=False, **more)
        self._conflicts: list[tuple[argparse.Action, argparse.Action]] = []
        self._completions: dict[argparse.Action, _Completions] = {}
        if options is not None:
            self.set_defaults(**_defaults(options), **{_KIND: options})
        self.add("-h", "--help", action=_Help, nargs=0, help="show this help")

    def add(self, *names: str, completions: _Completions = (), **more: Any) -> argparse.Action:
        """Add an argument, as `add_argument` does.

        `completions` are the words that complete the value, or a function that returns the words.
        A Live stands for words that are known only when the user completes.
        """
        action = self.add_argument(*names, **more)
        self._completions[action] = completions
        return action

    def add_conflicts(self, *pairs: tuple[argparse.Action, argparse.Action]) -> None:
        """Refuse the two arguments of a pair when both are given."""
        self._conflicts += pairs

    def completions(self, action: argparse.Action) -> tuple[str | Live, ...]:
        """Return the words that complete the value of `action`, or who knows them."""
        found = action.choices or self._completions.get(action, ())
        return tuple(found() if callable(found) else found)

    def help_of(self, action: argparse.Action) -> str:
        """Return the help of `action` with its values filled in, empty if it has none."""
        return self._get_formatter()._expand_help(action) if action.help else ""

    @property
    def verbs(self) -> Mapping[str, Parser[_T]]:
        """Return the parser of each verb by its name, empty if the command has no verbs."""
        actions = (a for a in self._actions if isinstance(a, argparse._SubParsersAction))
        return next((dict(action.choices) for action in actions), {})

    def words(self, option: str) -> tuple[str, ...]:
        """Return the words that `option` takes, empty if it takes any text."""
        return tuple(self._option_string_actions[option].choices or ())

    def parse(self, words: Sequence[str]) -> _T:
        """Return the options in `words`; raise UsageError or HelpShown."""
        return self.options(self.parse_args(words))

    def options(self, found: argparse.Namespace) -> _T:
        """Return the options from the namespace `found`."""
        return cast(_T, picked(getattr(found, _KIND), found))

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Return the parsed arguments; raise UsageError for two that conflict."""
        found, rest = super().parse_known_args(args, namespace)
        for pair in self._conflicts:
            if all(getattr(found, action.dest) != action.default for action in pair):
                one, other = (_spelled(action, found) for action in pair)
                self.error(f"{one} and {other} cannot be combined")
        return found, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raise UsageError if `value` is none of the action's choices; name the nearest one."""
        choices = action.choices
        if choices is None or value in choices:
            return
        from difflib import get_close_matches

        what = f"{action.option_strings[0]}: " if action.option_strings else ""
        near = get_close_matches(str(value), map(str, choices), 1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        self.error(f"{what}there is no {value!r}: {hint}choose from {', '.join(map(str, choices))}")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with `message` and how to get help."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


def value_of(action: argparse.Action) -> str:
    """Return what stands for the value of `action` in its usage: `FILE`, `task|probe|path`."""
    return str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper())


def picked(options: type[_T], found: argparse.Namespace) -> _T:
    """Return the dataclass `options` with its fields taken from the namespace `found`."""
    names = (field.name for field in fields(cast(Any, options)))
    return options(**{name: getattr(found, name) for name in names})


def _defaults(options: type[Any]) -> dict[str, Any]:
    found = ((field.name, field.default) for field in fields(options))
    return {name: default for name, default in found if default is not MISSING}


def _spelled(action: argparse.Action, found: argparse.Namespace) -> str:
    """Return how a user wrote `action`: `--raw`, `--format json`, `PID or ADDRESS`."""
    if not action.option_strings:
        return " or ".join(w for w in str(action.metavar).split("|") if w != action.default)
    name = action.option_strings[0]
    return f"{name} {getattr(found, action.dest)}" if action.choices else name


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Shows the default of a flag as GDB shows its settings: `on` or `off`."""

    def __init__(self, *names: Any, **more: Any) -> None:
        more.setdefault("width", _columns() - 2)  # as argparse has it
        super().__init__(*names, **more)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if isinstance(action.default, bool) and action.help:
            return action.help.replace("%(default)s", ("off", "on")[action.default])
        return action.help


def _columns() -> int:
    """Return the width of the terminal, or what COLUMNS says.

    argparse asks shutil for it. To import shutil takes longer than to make a parser.
    """
    said = os.environ.get("COLUMNS", "")
    try:
        return int(said) if said.isdecimal() and int(said) else os.get_terminal_size(1).columns
    except OSError:  # no terminal
        return 80


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise HelpShown(parser.format_help().rstrip())
