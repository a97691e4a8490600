# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/tutorial.md on a booted kernel: its commands run, and GDB prints what the page shows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu.catalogue import load
from qemu.console import PROMPT as CONSOLE
from qemu.guest.image import demo_image
from qemu.kernels import obtain
from qemu.session import gdb_command
from qemu.vm import Machine

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
NAME = "kgdb-5.10"  # the page's kernel, whichever the other tests use
PROMPT = "(gdb) "
TYPED_BY_MAKE = ("target remote", "source gdbfpu")  # shown for a machine of one's own
SESSION = 240.0  # seconds; it takes about 20


def shape(line: str) -> str:
    """Return `line` with each number as `#`, and each run of spaces or of dashes as one."""
    line = re.sub(r"(?<![\w.])-?(?:0x[0-9a-f]+|\d[\d.:]*(?:e[-+]\d+)?)(?![\w])", "#", line)
    return re.sub(r"-{2,}", "-", " ".join(line.split()))


def steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of Markdown `text`, and the lines that are shown below it."""
    command, shown = "", []
    for line in [*filter(None, text.splitlines()), "end"]:
        if not line.startswith("    ") or line[4:].startswith(PROMPT):
            if command and not command.startswith(TYPED_BY_MAKE):
                yield command, shown
            command, shown = line[4:].removeprefix(PROMPT) if PROMPT in line[4:10] else "", []
        elif command:
            shown.append(line[4:])


STEPS = list(steps(PAGE.read_text()))


def test_the_page_has_commands_and_output() -> None:
    assert next(steps("    (gdb) x\n    a\n\n    b\nText\n    c\n")) == ("x", ["a", "b"])
    assert len(STEPS) > 15
    assert sum(len(shown) for _, shown in STEPS) > 40
    assert (
        shape("  25     33 intonly   -3.5e+10 0x1f  18:47:35.393 ymm0") == "# # intonly # # # ymm0"
    )


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What GDB prints for each command of the page, on the demonstration's machine."""
    kernel, cpu = obtain(NAME), load()[NAME].cpus[0]
    with Machine(kernel.bzimage, demo_image(), cpu=cpu, memory="1G") as machine:
        machine.boot(CONSOLE, 120.0)
        machine.run("start-demo", 120.0)
        machine.break_in()
        commands = ["source gdbfpu", *(command for command, _ in STEPS)]
        argv = gdb_command(kernel.vmlinux, machine.kgdb, commands, batch=True, echo=True)
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SESSION,
            cwd=tmp_path_factory.mktemp("tutorial"),
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert "Error" not in done.stderr and "fpu-" not in done.stderr, done.stderr
        machine.check()
    parts = re.split(r"^\(gdb\) .*\n", done.stdout, flags=re.MULTILINE)[3:]
    assert len(parts) == len(STEPS)
    return parts


@pytest.mark.parametrize("step", range(len(STEPS)), ids=lambda step: STEPS[step][0][:40])
def test_each_line_shown_is_a_line_of_the_run(said: list[str], step: int) -> None:
    shapes = {shape(line) for line in said[step].splitlines()}
    shown = [line for line in STEPS[step][1] if line.strip() not in ("", "...")]
    assert [line for line in shown if shape(line) not in shapes] == [], said[step]


def test_the_frame_is_where_the_page_computes_it(said: list[str]) -> None:
    """A number is any number above; here it has to be 1, which is true."""
    answers = [text for (command, _), text in zip(STEPS, said, strict=True) if " == " in command]
    assert [re.sub(r"\$\d+", "$N", text.strip()) for text in answers] == ["$N = 1"]
