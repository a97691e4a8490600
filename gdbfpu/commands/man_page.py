# SPDX-License-Identifier: GPL-2.0-or-later
"""Manual pages in man(7), made from parsers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from gdbfpu import __version__
from gdbfpu.commands.parser import Parser, value_of
from gdbfpu.commands.parsers import GDB, SHELL
from gdbfpu.commands.shell_parser import ABOUT, shell_parser

__all__ = ("man_page", "man_pages")

_ESCAPES = str.maketrans({"\\": "\\e", "-": "\\-", "~": "\\(ti", "^": "\\(ha"})


def man_pages(date: str) -> dict[str, str]:
    """Return the pages of all commands by the names of their files; `date` is YYYY-MM-DD."""
    shell = {f"gdbfpu-{name}": command for name, command in SHELL.items()}
    pages = {**shell, **GDB}
    main = shell_parser()
    texts = {"gdbfpu": man_page(main, "gdbfpu", ABOUT[0].lower() + ABOUT[1:-1], date, [*pages])}
    for name, command in pages.items():
        others = [*GDB] if name in GDB else [*shell]
        see = ["gdbfpu", *(other for other in others if other != name)]
        texts[name] = man_page(command.parser(), name, command.about, date, see)
    return {f"{name}.1": text for name, text in texts.items()}


def man_page(parser: Parser[Any], name: str, about: str, date: str, see: Sequence[str]) -> str:
    """Return the page of the command `name`, which `parser` describes and `about` sums up.

    `see` are the names of other pages.
    """
    lines = [
        f'.TH {name.upper()} 1 {date} "gdbfpu {__version__}" "gdbfpu"',
        ".SH NAME",
        f"{_escaped(name)} \\- {_marked(about)}",
        ".SH SYNOPSIS",
        *_synopsis(parser),
        ".SH DESCRIPTION",
        *_text(parser.description or ""),
        *_arguments(parser),
        *_epilog(parser.epilog or ""),
        ".SH SEE ALSO",
        ",\n".join(f".BR {_escaped(other)} (1)" for other in see),
    ]
    return "\n".join(lines) + "\n"


def _synopsis(parser: Parser[Any]) -> Iterator[str]:
    yield f".B {_escaped(parser.prog)}"
    for action in parser._actions:
        spelled = _spelled(action, action.option_strings[-1:])
        yield spelled if action.required else f"[{spelled}]"


def _arguments(parser: Parser[Any], of: str = "") -> Iterator[str]:
    """Yield a section for the arguments and one for the options, then those `of` each verb."""
    others = [a for a in parser._actions if not a.option_strings]
    named = [a for a in parser._actions if a.option_strings]
    for title, actions in (("ARGUMENTS", others), ("OPTIONS", named)):
        yield from (f'.SH "{title}{of}"',) if actions else ()
        for action in actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from _verbs(action)
            else:
                yield from _entry(parser, action)
    for verb in parser.verbs.values():
        if len(verb._actions) > 1:  # more than --help; those of gdbfpu have pages of their own
            yield from _arguments(verb, f" OF {_escaped(verb.prog)}")


def _verbs(action: argparse._SubParsersAction[Any]) -> Iterator[str]:
    for choice in action._choices_actions:
        yield from (".TP", f"\\fB{_escaped(choice.dest)}\\fR", *_text(choice.help or ""))


def _entry(parser: Parser[Any], action: argparse.Action) -> Iterator[str]:
    spelled = _spelled(action, action.option_strings)
    yield from (".TP", spelled, *_text(parser.help_of(action)))


def _spelled(action: argparse.Action, names: Sequence[str]) -> str:
    """Return the argument as a person types it: names in bold, values in italics."""
    value = _value(action)
    parts = [f"\\fB{_escaped(name)}\\fR" for name in names]
    return ", ".join(parts) + (f" {value}" if parts and value else value)


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    value = f"\\fI{_escaped(value_of(action))}\\fR"
    if action.option_strings and action.nargs == "?":
        return f"[{value}]"
    return f"{value} ..." if action.nargs in ("*", "+") else value


def _epilog(text: str) -> Iterator[str]:
    """Yield a section for each paragraph; its first words, up to a colon, are the title."""
    for paragraph in filter(None, text.split("\n\n")):
        title, _, rest = paragraph.partition(":")
        yield f".SH {title.upper()}"
        yield from _text(rest.removeprefix(" "))


def _text(text: str) -> Iterator[str]:
    """Yield the lines of a text: those that are indented stay lines."""
    lines = text.strip("\n").splitlines()
    for indented, group in groupby(lines, lambda line: line.startswith("  ")):
        marked = map(_escaped if indented else _marked, group)
        yield from (".nf", *marked, ".fi") if indented else marked


def _marked(line: str) -> str:
    """Return the line with what stands in backticks in bold."""
    return re.sub(r"`([^`]*)`", r"\\fB\1\\fR", _escaped(line))


def _escaped(text: str) -> str:
    """Return `text` so that roff takes each character as itself."""
    safe = text.translate(_ESCAPES)
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe
