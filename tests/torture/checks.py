# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds whatever happens to a trace: of GDB's output, the event file, the kernel's text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.torture.debugger import Debugger
from tests.torture.lab import Lab

__all__ = ("counted", "file", "guest_runs", "hits_in", "left", "output", "restored", "shown")

CRASHES = ("Traceback", "Python Exception", "internal-error", "Fatal signal", "Error occurred")
SIGNALS = 3  # of the program that shows that the guest runs
GUEST = 60.0  # seconds for that program
_PROMPTS = r"^(?:\(gdb\) )*"  # GDB prints one for each command that it reads
_SHOWN = re.compile(rf"{_PROMPTS} *(\d+) +(?:\d+|-) +\S", re.MULTILINE)  # how a hit's line begins


def hits_in(out: Path) -> int:
    """Return how many hits the event file has, in whole lines."""
    return out.read_bytes().count(b'"seq": ')


def _hits(out: Path) -> list[dict[str, Any]]:
    header, *lines = (json.loads(line) for line in out.read_bytes().split(b"\n")[:-1])
    assert header["schema"] == 1, "the event file has no header"
    return [line for line in lines if "use_of" not in line]


def guest_runs(lab: Lab) -> None:
    """Check that a program in the guest gets its signals, and keeps its registers."""
    said = lab.machine.run(f"sigstorm {SIGNALS}", GUEST)
    assert f"signals={SIGNALS} ok" in said, f"the guest says {said!r}"


def restored(lab: Lab, gdb: Debugger) -> None:
    """Check that a new GDB brings the kernel's text back."""
    said = gdb.ask("fpu-trace off")
    assert "fpu-trace: " in said, f"`fpu-trace off` in a new GDB says {said!r}"
    changed = lab.changed()
    assert not changed, f"after `fpu-trace off` in a new GDB, {changed}"


def left(lab: Lab, gdb: Debugger) -> None:
    """Check that the kernel runs on after GDB has left it."""
    gdb.ask("detach")
    assert gdb.quit() == 0, "GDB did not quit with status 0"
    guest_runs(lab)
    changed = lab.changed()
    assert not changed, f"while the kernel runs on, {changed}"


def counted(gdb: Debugger) -> int:
    """Return how many hits GDB has counted."""
    said = gdb.ask("fpu-trace status")
    found = re.search(rf"{_PROMPTS}tracing is \w+; (\d+) hits? of", said, re.MULTILINE)
    assert found, f"`fpu-trace status` says {said!r}"
    return int(found[1])


def output(text: str, says: Sequence[str], forgiven: str = "") -> None:
    """Check that nothing has crashed, and that each line of `says` is there once.

    A line with what is `forgiven` does not count.
    """
    if forgiven:
        text = "\n".join(line for line in text.split("\n") if forgiven not in line)
    for sign in CRASHES:
        assert sign not in text, f"GDB printed {sign!r}"
    for line in says:
        found = len(re.findall(line, text, re.MULTILINE))
        assert found == 1, f"{line!r} was said {found} times"


def shown(text: str) -> int:
    """Return the number of the last hit that GDB has shown in `text`, 0 for none."""
    return max((int(number) for number in _SHOWN.findall(text)), default=0)


def file(out: Path, counted: int | None, shown: int) -> None:
    """Check that the event file has the hits that were `counted`, and those that were `shown`.

    If GDB was killed (None), it may have written a hit, or a part of its line, and not shown it.
    """
    hits = _hits(out)
    numbers = [hit["seq"] for hit in hits]
    assert numbers == list(range(1, len(hits) + 1)), "the hits of the event file have gaps"
    most = shown if counted is not None else shown + 1
    assert shown <= len(hits) <= most, f"{shown} hits were shown, {len(hits)} are in the file"
    assert counted in (None, len(hits)), f"{counted} hits are counted, {len(hits)} are in the file"
    last = out.read_bytes().rpartition(b"\n")[2]
    assert counted is None or not last, "the event file ends within a line"
