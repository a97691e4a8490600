# SPDX-License-Identifier: GPL-2.0-or-later
"""Manual pages: the programs that read such pages find nothing wrong, and all options are there."""

import os
import re
import subprocess

import pytest

from gdbfpu.commands.man_page import man_page, man_pages
from gdbfpu.commands.parser import Parser
from gdbfpu.commands.parsers import GDB, SHELL

COMMANDS = {**{f"gdbfpu-{name}": command for name, command in SHELL.items()}, **GDB}
PAGES = man_pages("2026-11-30")


def run(*command, **more):
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "200", "MANROFFOPT": "-c"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, **more)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def read(page, text, folder):
    """The page as `man` shows it, its lines put together again."""
    (folder / page).write_text(text)
    shown = run("man", "--warnings", "--nh", "--nj", "-l", str(folder / page))
    return " ".join(re.sub(".\b", "", shown).split())


def test_there_is_a_page_for_each_command():
    assert set(PAGES) == {"gdbfpu.1", *(f"{name}.1" for name in COMMANDS)}


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_wrong(page, tmp_path):
    (tmp_path / page).write_text(PAGES[page])
    assert run("mandoc", "-Tlint", "-Wwarning", str(tmp_path / page)) == ""
    name = page.removesuffix(".1")
    known = run("lexgrog", str(tmp_path / page))  # what `man -k` finds
    assert known.startswith(f'{tmp_path / page}: "{name} - ')
    assert name in read(page, PAGES[page], tmp_path)


@pytest.mark.parametrize("name", COMMANDS)
def test_all_that_help_says_is_in_it(name, tmp_path):
    """Every option of the command and of its verbs, with its text."""
    parser = COMMANDS[name].parser()
    shown = read(f"{name}.1", PAGES[f"{name}.1"], tmp_path)
    assert COMMANDS[name].about.replace("`", "") in shown
    for each in (parser, *parser.verbs.values()):
        actions = [action for action in each._actions if action.option_strings]
        for action in actions if len(actions) > 1 else ():
            text = each._get_formatter()._expand_help(action).replace("`", "")
            assert f"{action.option_strings[-1]} " in shown
            assert " ".join(text.split()) in shown


def test_the_page_of_the_command_itself(tmp_path):
    shown = read("gdbfpu.1", PAGES["gdbfpu.1"], tmp_path)
    for name, command in SHELL.items():
        assert f"{name} {command.about}".replace("`", "") in shown
        assert f"gdbfpu-{name}(1)" in shown
    assert "EXAMPLES gdbfpu report hits.jsonl" in shown
    assert "EXIT STATUS 0; 1 if the command failed" in shown


def test_no_character_is_taken_for_a_request(tmp_path):
    description = ".SH not a section\n'ti is not indented\n  \\fB a - b ~/^"
    parser = Parser(prog="it", description=description)
    parser.add("--option", metavar="A\\B", help=".PP 'it' \\n(.d `--code` -")
    shown = read("it.1", man_page(parser, "it", "a\\b", "2026-11-30", []), tmp_path)
    assert ".SH not a section 'ti is not indented \\fB a - b ~/^" in shown
    assert "--option A\\B .PP 'it' \\n(.d --code -" in shown
    assert "NAME it - a\\b" in shown
