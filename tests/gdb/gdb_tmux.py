# SPDX-License-Identifier: GPL-2.0-or-later
"""A real GDB in a terminal of tmux, whose screen a test can read as a person does."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gdb_harness import DEADLINE, ROOT, environment

from qemu.gdbs import gdb_program

PROMPT = "(gdb)"
ROWS, COLUMNS = 24, 80
_WRITING = os.O_WRONLY | os.O_NOCTTY

Screen = list[str]


class Tmux:
    """A tmux with a server of its own, in which a GDB runs that has read its arguments."""

    def __init__(self, folder: Path, arguments: Sequence[str] = (), **more: str) -> None:
        """Start GDB with `arguments` on a terminal of 80x24; `more` goes into its environment."""
        self._tmux = ["tmux", "-u", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        environ = environment(INPUTRC="/dev/null", **more)
        for name in ("TMUX", "TERM", *(() if "NO_COLOR" in more else ("NO_COLOR",))):
            environ.pop(name, None)
        size = ("-x", str(COLUMNS), "-y", str(ROWS))
        argv = [*_gdb(), *arguments]
        subprocess.run(
            [*self._tmux, "new-session", "-d", *size, "--", *argv],
            env=environ, cwd=folder, check=True, timeout=DEADLINE,
        )  # fmt: skip
        self.wait(at_prompt)

    def __call__(self, *arguments: str) -> str:
        """Run a command of tmux; return its output."""
        done = subprocess.run(
            [*self._tmux, *arguments], capture_output=True, text=True, check=True, timeout=DEADLINE
        )
        return done.stdout

    def close(self) -> None:
        """End the server, and with it what runs in it."""
        self("kill-server")

    def keys(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self("send-keys", *keys)

    def type(self, *commands: str) -> Screen:
        """Type each command and wait for the next prompt; return the screen."""
        for command in commands:
            self.enter(command)
            self.wait(at_prompt)
        return self.screen()

    def enter(self, command: str) -> None:
        """Type a command at an empty prompt, and Enter."""
        self.wait(at_prompt)
        self("send-keys", "-l", command)
        self.wait(lambda lines: any(command[:40] in line for line in lines))
        self.keys("Enter")

    def screen(self, *options: str) -> Screen:
        """Return the lines that one sees, without the empty ones at the end."""
        lines = self("capture-pane", "-p", *options).splitlines()
        while lines and not lines[-1].strip():
            lines.pop()
        return lines

    def all(self) -> Screen:
        """Return what has scrolled off, too."""
        return self.screen("-S", "-")

    def wait(self, done: Callable[[Screen], object], seconds: float = DEADLINE) -> Screen:
        """Wait until `done` is true of the screen; return it."""
        deadline = time.monotonic() + seconds
        while not done(lines := self.screen()):
            assert time.monotonic() < deadline, "\n".join(lines)
            time.sleep(0.02)
        return lines

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self("resize-window", "-x", str(columns), "-y", str(rows))

    def write(self, text: str) -> None:
        """Write to the terminal as another program does, such as a kernel's console."""
        terminal = os.open(self("display-message", "-p", "#{pane_tty}").strip(), _WRITING)
        os.write(terminal, text.encode())
        os.close(terminal)


def _gdb() -> list[str]:
    """Return the command that starts GDB; its programs have no terminal, as a kernel has none."""
    argv = [str(gdb_program()), "-nx", "-q", "-iex", f"directory {ROOT / 'scripts'}"]
    for setting in ("confirm off", "startup-with-shell off", "debuginfod enabled off",
                    "inferior-tty /dev/null"):  # fmt: skip
        argv += ["-iex", f"set {setting}"]
    return argv


def at_prompt(lines: Screen) -> bool:
    """Return whether GDB waits for a command on the last line."""
    return bool(lines) and lines[-1].strip() == PROMPT
