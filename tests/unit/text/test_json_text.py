# SPDX-License-Identifier: GPL-2.0-or-later
"""JSON on a terminal: coloured, and otherwise as it is elsewhere."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from event_files import HIT, written

from gdbfpu.errors import UsageError
from gdbfpu.text.json_text import json_text
from gdbfpu.text.screen import PLAIN, Screen

VALUE = {"comm": "\x1b[31m<b>", "hits": [1, 2.5, None, True], "empty": {}}
ESCAPE = re.compile("\x1b\\[[0-9;]*m")


@pytest.mark.parametrize("indent", [None, 1])
def test_only_colour_is_added(indent):
    plain = json_text(VALUE, PLAIN, indent)
    assert json.loads(plain) == VALUE
    assert "\x1b" not in plain
    coloured = json_text(VALUE, Screen(colour=True), indent)
    assert coloured != plain
    assert ESCAPE.sub("", coloured) == plain


def test_names_and_values_differ_in_colour():
    coloured = json_text({"a": "b"}, Screen(colour=True))
    name, value = re.findall('(\x1b\\[[0-9;]+m)"', coloured)
    assert name != value


def test_pygments_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygments", None)
    assert json_text(VALUE) == json.dumps(VALUE)
    with pytest.raises(UsageError, match="colour needs the Python package pygments"):
        json_text(VALUE, Screen(colour=True))


def on_a_terminal(words, **environment):
    """Return what a command writes to a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gdbfpu", *map(str, words)]
    with subprocess.Popen(command, stdout=theirs, env={**os.environ, **environment}) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                text += os.read(ours, 4096)
            except OSError:  # the terminal has no writer any more
                break
        assert process.wait(30) == 0
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "words", [["report", "F", "--format", "json"], ["show", "F", "--hit", "1", "--format", "json"],
              ["compare", "F", "F", "--format", "json"]]
)  # fmt: skip
def test_commands_colour_on_a_terminal_only(tmp_path, monkeypatch, words):
    file = written(tmp_path / "hits", HIT)
    words = [file if word == "F" else word for word in words]
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = on_a_terminal(words), on_a_terminal(words, NO_COLOR="1")
    assert "\x1b" in coloured
    assert ESCAPE.sub("", coloured) == plain
    json.loads(plain)
    if words[0] == "report":
        out = tmp_path / "out"
        assert on_a_terminal([*words, "--out", out]) == ""
        assert json.loads(out.read_text()) == json.loads(plain)
