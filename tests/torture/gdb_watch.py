# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a GDB on many commands, with a deadline for each and a limit to GDB's memory."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.gdb.gdb_harness import start_plain

__all__ = ("Said", "Watched", "faults_of", "ours", "watch")

DEADLINE = 30.0  # seconds for a command of gdbfpu
PATIENCE = 3.0  # seconds that GDB's own commands, which may wait for ever, go without a ^C
_GIVEN_UP = 7.0  # seconds after which GDB's own commands are given up
MOST = 1 << 20  # KiB of memory of a GDB
_LOOK = 0.1  # seconds between two looks at it
_MARK = re.compile(rb"@@torture-(\d+)@@\n?")
_ERROR = re.compile(r"\b([A-Z]\w*(?:Error|Exception|Warning|Exit|Iteration))\b: (.*)")
_GDBS_BUGS = (
    "finish_step_over: Assertion",  # a new connection, after one that broke during a step
    "switch_to_thread: Assertion",  # the stub stopped in a thread that its list does not have
)
"""What ends GDB 13 by itself at a command of its own: tried without gdbfpu."""
_GDBS_WORDS = re.compile(
    r"^(warning: )?(Invalid|Unexpected|Unknown|Remote|Bad|Malformed|Reply|Could not|Ignoring)\b.*",
    re.MULTILINE,
)
"""Lines in which GDB itself quotes a packet."""
_NEVER = ("Traceback", "Python Exception", "Exception ignored", "Error occurred in Python")
_GDBS = ("MemoryError: Cannot ", "GdbError: ")


@dataclass
class Said:
    """What GDB printed for `command`, and for how many seconds it worked on it."""

    command: str
    text: str = ""
    seconds: float = 0.0


@dataclass
class Watched:
    """What a GDB did: `said` for each command, its exit status, and the most KiB that it had.

    `why` says why it was killed, and is empty otherwise.
    """

    said: list[Said] = field(default_factory=list)
    status: int = 0
    most: int = 0
    why: str = ""


def ours(command: str) -> bool:
    """Return whether a command of GDB is one of gdbfpu."""
    return command.startswith("fpu-") or "$fpu_" in command


def watch(commands: Sequence[str], env: dict[str, str], deadline: float | None = None) -> Watched:
    """Run GDB on `commands`. It is killed if one takes longer than `deadline` seconds.

    Commands of GDB's own that take long get a ^C every second.
    """
    marked = ["maintenance set internal-error corefile no", "echo @@torture-0@@\\n"]
    for number, command in enumerate(commands, 1):
        marked += [command, f"echo @@torture-{number}@@\\n"]
    process = start_plain(marked, env=env)
    try:
        found = _Follower(process, commands, deadline or DEADLINE).follow()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()
    found.status = 0 if found.why else process.returncode
    return found


class _Follower:
    """Reads what a GDB prints, and looks after its time and memory."""

    def __init__(
        self, process: subprocess.Popen[bytes], commands: Sequence[str], deadline: float
    ) -> None:
        self._process = process
        self._names = ("(start)", *commands, "(end)")
        self._deadline = deadline
        self._waiting = b""
        self._now = Said(self._names[0])
        self._found = Watched([self._now])
        self._began = self._nudged = time.monotonic()

    def follow(self) -> Watched:
        """Return what the GDB did, when it has ended or has done too much."""
        output = self._process.stdout.fileno()
        while not self._found.why:
            if select.select([output], [], [], _LOOK)[0]:
                data = os.read(output, 1 << 16)
                self._take(data)
                if not data:
                    break
            self._look()
        self._now.text += self._waiting.decode("utf-8", "surrogateescape")
        return self._found

    def _take(self, data: bytes) -> None:
        self._waiting += data
        while mark := _MARK.search(self._waiting):
            text = self._waiting[: mark.start()]
            self._waiting = self._waiting[mark.end() :]
            self._now.text += text.decode("utf-8", "surrogateescape")
            now = time.monotonic()
            self._now.seconds, self._began = now - self._began, now
            self._now = Said(self._names[int(mark[1]) + 1])
            self._found.said.append(self._now)

    def _look(self) -> None:
        found, command = self._found, self._now.command
        found.most = max(found.most, _most(self._process.pid))
        now = time.monotonic()
        deadline = self._deadline if ours(command) else min(self._deadline, _GIVEN_UP)
        if now - self._began > deadline:
            found.why = f"`{command}` takes more than {deadline:.0f} s"
        elif found.most > MOST:
            found.why = f"`{command}`: GDB has {found.most >> 10} MiB"
        elif now - self._began > PATIENCE and now - self._nudged > 1 and not ours(command):
            self._process.send_signal(signal.SIGINT)
            self._nudged = now


def _most(pid: int) -> int:
    """Return the most KiB of memory that a process ever had, 0 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0


def faults_of(watched: Watched, echoed: Sequence[str] = ()) -> list[str]:
    """Return what GDB, or gdbfpu in it, must never do, a line each.

    GDB itself prints each of `echoed` as it is when a stub says it. What GDB itself does wrong on
    its own commands, it does without gdbfpu, too.
    """
    last = watched.said[-1]
    found = [watched.why] if watched.why and (ours(last.command) or "MiB" in watched.why) else []
    if watched.status and (ours(last.command) or not any(bug in last.text for bug in _GDBS_BUGS)):
        found.append(f"GDB ended with {watched.status} at `{last.command}`")
    for said in watched.said:
        text = said.text
        for words in echoed:
            text = text.replace(words, "")
        found += [f"`{said.command}` says {word!r}" for word in _NEVER if word in text]
        if ours(said.command):
            found += _of_ours(said.command, text)
    return found


def _of_ours(command: str, text: str) -> list[str]:
    """Return what is wrong in the text of a command of gdbfpu."""
    text = re.sub(r"^\d+\t\t.*", "", text, flags=re.MULTILINE)  # GDB shows where it stopped
    text = _GDBS_WORDS.sub("", text)
    odd = {c for c in text if not c.isprintable() and c != "\n"}
    found = [f"`{command}` prints {sorted(odd)!r}"] if odd else []
    for name, words in _ERROR.findall(text):
        if not f"{name}: {words}".startswith(_GDBS):
            found.append(f"`{command}` did not foresee {name}: {words[:100]!r}")
    return found
