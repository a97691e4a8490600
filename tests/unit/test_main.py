# SPDX-License-Identifier: GPL-2.0-or-later
"""A signal ends the command as it ends any program: at once, without a word, leaving nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BLOCKED = ("env", "--block-signal=INT,TERM,HUP")  # as scripts/install's command starts it
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DEADLINE = 30.0


@pytest.fixture
def start():
    """Start the command with some words; what is still running at the end is killed."""
    running = []

    def started(*words, prefix=(), **options):
        command = [*prefix, sys.executable, "-m", "gdbfpu", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        running.append(subprocess.Popen(command, **{**pipes, **options}))
        return running[-1]

    yield started
    for process in running:
        process.kill()
        process.communicate()


def ended(process, number):
    process.send_signal(number)
    out, error = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out, error) == (-number, b"", b"")


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_starts(start, number):
    """The first 120 ms, in which its modules are imported."""
    reading, writing = os.pipe()  # it waits for an image that never comes
    try:
        for milliseconds in range(0, 120, 10):
            process = start("decode", "-", prefix=BLOCKED, stdin=reading)
            time.sleep(milliseconds / 1000)
            ended(process, number)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.fixture
def waiting(start, tmp_path):
    """Start a report of a FIFO to which nobody writes; return when its draft is there and it waits.

    Python runs no handler for a signal that comes just before a system call that waits: such a
    command ends at the next signal. That takes microseconds, and is not tested.
    """

    def wait(prefix=()):
        fifo, out = tmp_path / "fifo", tmp_path / "report"
        os.mkfifo(fifo)
        process = start("report", "--from", str(fifo), "--out", str(out), prefix=prefix)
        until = time.monotonic() + DEADLINE
        about = Path(f"/proc/{process.pid}/stat")
        while len(list(tmp_path.iterdir())) < 2 or about.read_text().rpartition(")")[2][1] != "S":
            assert time.monotonic() < until, "no file was made"
            time.sleep(0.001)
        return process, fifo, out

    return wait


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_works(waiting, number):
    process, fifo, _ = waiting()
    ended(process, number)
    assert list(fifo.parent.iterdir()) == [fifo]


def test_what_was_killed_can_be_done_again(start, waiting):
    process, fifo, out = waiting()
    ended(process, signal.SIGKILL)
    assert not out.exists()
    fifo.unlink()
    fifo.write_text('{"schema": 1}\n')
    process = start("report", "--from", str(fifo), "--out", str(out))
    assert process.communicate(timeout=DEADLINE) == (b"", b"")
    assert "0 tasks in fifo" in out.read_text()


def test_a_signal_that_is_ignored_stays_so(waiting):
    """As nohup has it, and a shell script for what it runs beside itself."""
    process, fifo, out = waiting(("env", "--ignore-signal=INT,HUP"))
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    fifo.write_text('{"schema": 1}\n')
    assert process.communicate(timeout=DEADLINE) == (b"", b"")
    assert process.returncode == 0
    assert "0 tasks in fifo" in out.read_text()
