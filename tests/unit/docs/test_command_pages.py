# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/commands/ has a page for each command, and each says what its parser says."""

from __future__ import annotations

import argparse

import pytest
from doc_pages import DOCS

from docs.site.command_pages import FOLDER, pages, parsers
from gdbfpu.commands.parsers import GDB, SHELL

MADE = pages()
PARSERS = {parser.prog: parser for parser in parsers()}


def test_the_commands_are_those_that_can_be_called() -> None:
    assert set(PARSERS) == {*GDB, *(f"gdbfpu {name}" for name in SHELL)}
    assert {"fpu-trace", "fpu-state", "gdbfpu decode", "gdbfpu report"} <= set(PARSERS)


def test_no_page_is_of_a_command_that_is_gone() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(MADE)


@pytest.mark.parametrize("name", sorted(MADE))
def test_page_is_what_its_parser_says(name: str) -> None:
    assert (FOLDER / name).read_text() == MADE[name], "run `make docs`, which writes the page anew"


def arguments(parser: argparse.ArgumentParser) -> set[str]:
    """The long options in argparse's own help, those of the verbs included."""
    verbs = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    own = {name for a in parser._actions for name in a.option_strings if name.startswith("--")}
    return own.union(*(arguments(verb) for a in verbs for verb in a.choices.values())) - {"--help"}


@pytest.mark.parametrize("prog", sorted(PARSERS))
def test_page_has_every_option(prog: str) -> None:
    text = (DOCS / "commands" / f"{prog.replace(' ', '-')}.md").read_text()
    assert [name for name in arguments(PARSERS[prog]) if f"| `{name}" not in text] == []
