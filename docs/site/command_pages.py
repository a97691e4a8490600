# SPDX-License-Identifier: GPL-2.0-or-later
"""Write docs/commands/: a page for each command, made from its parser.

Run by `make docs`. A test holds the pages to what this module makes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gdbfpu.commands.parser import Parser, value_of
from gdbfpu.commands.parsers import GDB, SHELL

__all__ = ("FOLDER", "pages", "parsers")

FOLDER = Path(__file__).resolve().parents[1] / "commands"

_GUIDES = {
    "fpu-trace": "trace.md",
    "fpu-report": "trace.md",
    "fpu-info": "fpu-info.md",
    "fpu-state": "fpu-state.md",
    "fpu-audit": "audit.md",
    "gdbfpu audit": "audit.md",
    "gdbfpu completion": "install.md",
    "gdbfpu compare": "data.md",
    "gdbfpu decode": "decode.md",
    "gdbfpu diff": "data.md",
    "gdbfpu export": "data.md",
    "gdbfpu info": "fpu-info.md",
    "gdbfpu install-gdb": "install.md",
    "gdbfpu layout": "layouts.md",
    "gdbfpu report": "data.md",
    "gdbfpu show": "data.md",
    "gdbfpu state": "fpu-state.md",
    "gdbfpu uninstall-gdb": "install.md",
}
"""The page that explains a command's output, where there is one."""

_BAR = "\\|"  # a bar within a cell of a table

_MADE = "<!-- Made by `make docs` from the command's parser. Change the parser, not this page. -->"


def parsers() -> tuple[Parser[Any], ...]:
    """Return the parser of every command, those of GDB first."""
    return tuple(command.parser() for command in (*GDB.values(), *SHELL.values()))


def pages() -> dict[str, str]:
    """Return the text of each page by its file's name."""
    return {f"{each.prog.replace(' ', '-')}.md": _page(each) for each in parsers()}


def _page(parser: Parser[Any]) -> str:
    guide = _GUIDES.get(parser.prog)
    more = [f"[What it shows, and what that means](../{guide})."] if guide else []
    parts = [f"# {parser.prog}", _MADE, *_about(parser), *_arguments_of(parser), *more]
    for verb in parser.verbs.values():
        parts += [f"## {verb.prog}", *_about(verb), *_arguments_of(verb)]
    return "\n\n".join(parts) + "\n"


def _about(parser: Parser[Any]) -> Iterator[str]:
    """Yield the description of a command, as Markdown."""
    first, *rest = (parser.description or "").rstrip().split("\n  ", 1)
    yield " ".join(first.split())
    if rest:  # lines that have to stay lines
        yield "\n".join(f"    {line.strip()}" for line in rest[0].splitlines())


def _arguments_of(parser: Parser[Any]) -> Iterator[str]:
    """Yield a command's usage, a table of its arguments, and its examples; nothing for verbs."""
    if parser.verbs:
        return
    yield f"```\n{_usage(parser)}\n```"
    rows = [_row(parser, action) for action in _arguments(parser)]
    if rows:
        yield "\n".join(["| argument | what |", "|---|---|", *rows])
    if parser.epilog:
        yield "\n".join(f"    {line}".rstrip() for line in parser.epilog.splitlines())


def _arguments(parser: Parser[Any]) -> list[argparse.Action]:
    """Return the arguments but --help and the verbs; those without dashes first."""
    shown = [
        action
        for action in parser._actions
        if "--help" not in action.option_strings
        and not isinstance(action, argparse._SubParsersAction)
    ]
    return sorted(shown, key=lambda action: bool(action.option_strings))


def _usage(parser: Parser[Any]) -> str:
    """Return the usage: argparse's own differs from one Python to the next."""
    lines = [parser.prog]
    for action in _arguments(parser):
        needed = action.required and action.nargs not in ("*", "?")
        word = _spelled(action) if needed else f"[{_spelled(action)}]"
        if len(lines[-1]) + len(word) > 98:
            lines.append(" " * len(parser.prog))
        lines[-1] += f" {word}"
    return "\n".join(lines)


def _spelled(action: argparse.Action) -> str:
    """Return how a person writes an argument: `--by task|probe|path`, `FILE`."""
    value = value_of(action)
    if action.nargs == 0:
        return action.option_strings[0]
    if action.option_strings:
        return f"{action.option_strings[0]} {f'[{value}]' if action.nargs == '?' else value}"
    return f"{value}..." if action.nargs in ("*", "+") else value


def _row(parser: Parser[Any], action: argparse.Action) -> str:
    words = parser.help_of(action)
    cells = (f"`{_spelled(action)}`", f"{words[:1].upper()}{words[1:]}")
    return f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |"


def main() -> None:
    """Write the pages, and remove those of commands that are gone."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
