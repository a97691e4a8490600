# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line on streams that are closed, full, or unable to encode what they are given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fpu_images import legacy

ROOT = Path(__file__).parents[3]
HEADER = {"schema": 1, "kernel": "Linux version 4.4.60", "switching": "lazy"}
HIT = {
    "seq": 1,
    "time_ns": 1000,
    "function": "f",
    "thread": None,
    "pid": 30,
    "tgid": 30,
    "comm": "Zoë 日本",
    "cpu": 1,
    "task": "0x1000",
    "xfeatures": "0x7",
    "live": True,
    "backtrace": [],
}


@pytest.fixture
def folder(tmp_path):
    """With an image, an event file, and what is neither."""
    (tmp_path / "image").write_bytes(bytes(legacy()))
    lines = (json.dumps(HEADER), json.dumps(HIT), "")
    (tmp_path / "events").write_text("\n".join(lines))
    (tmp_path / "text").write_text("neither")
    return tmp_path


def shell(folder, line, **env):
    """What happens to `line`, in which `gdbfpu` is the command."""
    script = f'gdbfpu() {{ "{sys.executable}" -m gdbfpu "$@"; }}\n{line}'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, timeout=60
    )


ANSWERS = ("decode image", "decode image --format json", "report --from events", "--help")
CLOSED = b"gdbfpu: cannot write the answer: standard output is closed\n"


@pytest.mark.parametrize("answer", ANSWERS)
def test_standard_output_is_closed(folder, answer):
    done = shell(folder, f"gdbfpu {answer} >&-")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", CLOSED)


@pytest.mark.parametrize("answer", ANSWERS)
def test_standard_output_is_full(folder, answer):
    done = shell(folder, f"gdbfpu {answer} >/dev/full")
    said = b"gdbfpu: cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


def test_standard_output_is_for_reading_only(folder):
    done = shell(folder, "gdbfpu decode image 1</dev/null")
    said = b"gdbfpu: cannot write to standard output: Bad file descriptor\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize("answer", ANSWERS)
def test_standard_output_has_no_reader(folder, answer):
    done = shell(folder, f"(sleep 0.2; gdbfpu {answer}; echo $? >status) | true")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (folder / "status").read_text() == "1\n"


@pytest.mark.parametrize("to", ["2>&-", "2>/dev/full", "2</dev/null"])
def test_errors_never_go_to_standard_output(folder, to):
    for failing in ("decode text", "report --from text", "layout text", "nonsense", "decode none"):
        done = shell(folder, f"gdbfpu {failing} {to}")
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", b""), failing
    assert shell(folder, f"gdbfpu decode image {to}").returncode == 0


def test_all_streams_are_closed(folder):
    done = shell(folder, "gdbfpu decode image <&- >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
    done = shell(folder, "gdbfpu report --from events --out report <&- >&- 2>&-")
    assert done.returncode == 0
    assert "Zoë 日本" in (folder / "report").read_text()


def test_a_file_takes_no_closed_streams_number(folder):
    """It would get what is meant for a terminal."""
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        line = f"gdbfpu report --from events --format json --out report {closed}; echo again"
        done = shell(folder, line)
        assert json.loads((folder / "report").read_text())["totals"]["hits"] == 1
        assert (done.stdout, done.stderr) == (b"again\n", b"")
        (folder / "report").unlink()


def test_standard_input_is_closed(folder):
    for command in ("decode -", "report --from -"):
        done = shell(folder, f"gdbfpu {command} <&-")
        said = b"gdbfpu: cannot read standard input: it is closed\n"
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", said)


def test_standard_input_is_no_file_to_read(folder):
    for command in ("decode -", "report --from -"):
        done = shell(folder, f"gdbfpu {command} 0>made")
        said = b"gdbfpu: cannot read standard input: Bad file descriptor\n"
        assert (done.returncode, done.stdout, done.stderr) == (1, b"", said)


@pytest.mark.parametrize("command", ["layout", "info --core image --vmlinux",
                                     "info --vmlinux image --core"])  # fmt: skip
def test_a_kernel_out_of_a_pipe(folder, command):
    """Neither blocks, nor is it read in part."""
    os.mkfifo(folder / "fifo")
    for line, name in (
        (f"gdbfpu {command} fifo", b"fifo"),
        (f"cat image | gdbfpu {command} /dev/stdin", b"/dev/stdin"),
        (f"gdbfpu {command} /dev/tty", b"/dev/tty"),
    ):
        done = shell(folder, line)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.count(b"\n") == 1
        assert b": " + name + b" is a pipe or a device" in done.stderr


def test_a_kernel_on_standard_input(folder):
    """A file that is one can be read there, too."""
    done = shell(folder, "gdbfpu layout /dev/stdin <text")
    assert done.stderr == b"gdbfpu: /dev/stdin is not an ELF file\n"


def test_events_from_standard_input(folder):
    for line in ("gdbfpu report --from - <events", "cat events | gdbfpu report --from -"):
        done = shell(folder, line)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"1 task in standard input," in done.stdout
    done = shell(folder, "gdbfpu report --from - <text")
    assert done.stderr.startswith(b"gdbfpu: standard input is not an event file")


@pytest.mark.parametrize(
    "locale",
    [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0",
      "PYTHONCOERCECLOCALE": "0"}],
    ids=["C", "ascii", "C as it was"],
)  # fmt: skip
def test_names_that_the_locale_cannot_encode(folder, locale):
    (folder / "events").rename(folder / "événements")
    done = shell(folder, "gdbfpu report --from évén*", **locale)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b" Zo" in done.stdout
    done = shell(folder, "gdbfpu report --from évén* --out 'rapport é'", **locale)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "Zoë 日本" in (folder / "rapport é").read_text(encoding="utf-8")
    done = shell(folder, "gdbfpu report --from évén* --out 'rapport é'", **locale)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"gdbfpu: rapport ")
    assert done.stderr.endswith(b" exists already: name a new file or remove it\n")


@pytest.mark.parametrize("name", [b"two\nlines", b"\x1b[31m", b"no \xff UTF-8", "\u202e".encode()])
def test_file_names_are_made_fit_for_a_terminal(folder, name):
    (folder / "events").rename(folder / os.fsdecode(name))
    for command in ("decode", "layout", "report --from"):
        quoted = os.fsdecode(name)
        done = shell(folder, f"gdbfpu {command} './{quoted}.none'")
        (line,) = done.stderr.decode().splitlines()
        assert line.isprintable()
        assert "No such file or directory" in line
    done = shell(folder, f"gdbfpu report --from './{quoted}'")
    assert done.returncode == 0
    assert all(line.isprintable() for line in done.stdout.decode().splitlines())
    assert "1 task in" in done.stdout.decode()
