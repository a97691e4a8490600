# SPDX-License-Identifier: GPL-2.0-or-later
"""A real GDB on a pseudo-terminal, as a person has it."""

from __future__ import annotations

import re

import pexpect
from gdb_harness import DEADLINE, ROOT, environment

from qemu.gdbs import gdb_program

PROMPT = r"\(gdb\) $"
"""What GDB ends an answer with."""


class Terminal:
    """A GDB on a pseudo-terminal, which answers one command after the other."""

    def __init__(self, screen: tuple[int, int] | None = None, **more: str) -> None:
        """Start it; `screen` are rows and columns, without which nothing is wrapped or paged."""
        environ = environment(**{"TERM": "xterm", "INPUTRC": "/dev/null", **more})
        if "NO_COLOR" not in more:
            environ.pop("NO_COLOR", None)
        arguments = ["-nx", "-q", "-iex", f"directory {ROOT / 'scripts'}"]
        for option in ("confirm", "startup-with-shell", "debuginfod enabled"):
            arguments += ["-iex", f"set {option} off"]
        if screen is None:
            arguments += ["-iex", "set width 0", "-iex", "set height 0"]
        self.gdb = pexpect.spawn(
            gdb_program(),
            arguments,
            env=environ,
            encoding="utf-8",
            timeout=DEADLINE,
            dimensions=screen or (50, 400),
        )
        self.gdb.expect(PROMPT)

    def __call__(self, *commands: str) -> str:
        """Run `commands`; return what the last of them wrote."""
        for command in commands:
            self.gdb.sendline(command)
            self.gdb.expect(PROMPT)
        text = re.sub(r"\x1b\[\?2004[hl]\r?", "", self.gdb.before)  # readline's own
        return text.split("\n", 1)[-1]  # without the command, which the terminal shows
