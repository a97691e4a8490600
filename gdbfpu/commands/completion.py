# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion of a command's words, made from its parser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from gdbfpu.commands.parser import Live, Parser

__all__ = ("complete",)


def complete(
    parser: Parser[Any], text: str, live: Callable[[Live], Iterable[str]] = lambda _: ()
) -> tuple[str, ...]:
    """Return the completions of the last word of `text`, a command's arguments so far.

    `live` returns the words that a Live stands for. It is called only for what may come next.
    """
    words = text.split()
    last = "" if not words or text[-1].isspace() else words.pop()
    for word in words:
        parser = parser.verbs.get(word, parser)
    found = _candidates(parser, words, last)
    known = chain.from_iterable(live(c) if isinstance(c, Live) else (c,) for c in found)
    return tuple(sorted({c for c in known if c.startswith(last)}))


def _candidates(parser: Parser[Any], words: Sequence[str], last: str) -> Iterable[str | Live]:
    option = parser._option_string_actions.get(words[-1]) if words else None
    if option is not None and option.nargs != 0:
        return parser.completions(option)
    options = (o for o in parser._option_string_actions if o.startswith("--"))
    if last.startswith("-"):
        return options
    named = (parser.completions(action) for action in parser._actions if not action.option_strings)
    return (*chain.from_iterable(named), *options)
