# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines in README.md and the pages are such as the commands accept.

A line of a block of code has to parse as it stands. A code span may be a part of one: `fpu-trace on
--out`. It may have no verb and no option that the command lacks.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_pages import DOCS, PAGES, ROOT, code_lines, name_of, spans

from docs.site.command_pages import parsers
from gdbfpu.commands.parser import HelpShown, Parser
from gdbfpu.errors import UsageError

PARSERS: dict[str, Parser] = {parser.prog: parser for parser in parsers()}  # type: ignore[misc]
WRITTEN = [page for page in PAGES if page.parent != DOCS / "commands"]
NUMBERS = {"A", "B", "LWP", "N", "PID", "SECONDS"}  # words that stand for a number
COMMAND = re.compile(r"(?:\(gdb\) |\$ |> )?(?:pipe )?((?:fpu-[a-z]+|gdbfpu [a-z]+)(?: .*)?)$")
SHELL = re.compile(r" (?:\||>|&&) ")  # what follows is another program's


def command_of(line: str) -> tuple[str, list[str]] | None:
    """Return the command that `line` calls and its words, or None if it calls none of ours."""
    found = COMMAND.match(line.split("  #")[0].rstrip())
    if found is None:
        return None
    words = shlex.split(SHELL.split(found[1])[0])
    size = 1 if words[0].startswith("fpu-") else 2
    return " ".join(words[:size]), words[size:]


def refusal(name: str, words: list[str]) -> str:
    """Return why the command refuses `words`, or nothing."""
    if name not in PARSERS:
        return f"there is no command {name}"
    try:
        PARSERS[name].parse(["1" if word in NUMBERS else word for word in words])
    except UsageError as error:
        return str(error)
    except HelpShown:
        pass
    return ""


def known(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The verbs and options of a command."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for name, verb in action.choices.items():
                yield name
                yield from known(verb)


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_lines_of_code_parse(page: Path) -> None:
    called = [c for line in code_lines(page.read_text()) if (c := command_of(line)) is not None]
    refused = [(name, words, why) for name, words in called if (why := refusal(name, words))]
    assert refused == []


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_spans_of_code_name_what_exists(page: Path) -> None:
    wrong = []
    for span in spans(page.read_text()):
        called = command_of(span)
        if called is None or called[0] == "gdbfpu COMMAND":
            continue
        name, words = called
        names = set(known(PARSERS[name])) if name in PARSERS else set()
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        verbs = {*words[0].split("|")} if name == "fpu-trace" and words else set()
        if not names or (options | verbs) - names:
            wrong.append(span)
    assert wrong == []


def test_targets_of_make_exist_and_are_no_files() -> None:
    said = [*(span for page in PAGES for span in spans(page.read_text()))]
    said += [line for page in PAGES for line in code_lines(page.read_text())]
    named = {found[1] for text in said if (found := re.match(r"(?:\$ )?make ([a-z-]+)", text))}
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (phony,) = re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {"demo", "docs", "test", "interact"} <= named
    assert named - targets == set()
    assert targets == set(phony.split())


def test_the_test_sees_lines_and_refuses_wrong_ones() -> None:
    lines = [
        c for page in WRITTEN for line in code_lines(page.read_text()) if (c := command_of(line))
    ]
    assert len(lines) > 30
    assert command_of("(gdb) fpu-state 1 --raw") == ("fpu-state", ["1", "--raw"])
    assert command_of("fpu-trace: limit of 100 hits reached") is None
    assert command_of("$ gdbfpu decode - | head") == ("gdbfpu decode", ["-"])
    assert refusal("fpu-state", ["--no-such-option"])
    assert refusal("fpu-nothing", [])
    assert not refusal("fpu-trace", ["on", "--pid", "PID"])
