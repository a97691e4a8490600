# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion of a command's words, made from its parser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from gdbfpu.commands.parser import Parser

__all__ = ("complete",)


def complete(parser: Parser[Any], text: str) -> tuple[str, ...]:
    """Return the completions of the last word of `text`, a command's arguments so far."""
    words = text.split()
    last = "" if not words or text[-1].isspace() else words.pop()
    for word in words:
        parser = parser.verbs.get(word, parser)
    return tuple(sorted(c for c in _candidates(parser, words) if c.startswith(last)))


def _candidates(parser: Parser[Any], words: Sequence[str]) -> Iterable[str]:
    option = parser._option_string_actions.get(words[-1]) if words else None
    if option is not None and option.nargs != 0:
        return parser.completions(option)
    named = (parser.completions(action) for action in parser._actions if not action.option_strings)
    options = (o for o in parser._option_string_actions if o.startswith("--"))
    return (*chain.from_iterable(named), *options)
