# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of commands: each has the name it is called by, and its parser is imported late."""

import subprocess
import sys

import pytest

from gdbfpu.commands.parsers import GDB, SHELL

NAMES = {**{f"gdbfpu {name}": command for name, command in SHELL.items()}, **GDB}


@pytest.mark.parametrize("name", NAMES)
def test_a_parser_has_the_name_of_its_command(name):
    assert NAMES[name].parser().prog == name


@pytest.mark.parametrize("name", SHELL)
def test_each_command_of_the_shell_runs(name):
    run = [sys.executable, "-m", "gdbfpu", name, "--help"]
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.startswith(f"usage: gdbfpu {name} ")


def test_the_table_imports_no_options():
    loaded = (
        "import sys, gdbfpu.commands.parsers; "
        "print([m for m in sys.modules if m.endswith('_options')])"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True)
    assert done.stdout == "[]\n"
