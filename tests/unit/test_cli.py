# SPDX-License-Identifier: GPL-2.0-or-later
"""The command, run as a person runs it."""

import json
import os
import subprocess
import sys

import pytest
from fpu_images import legacy, put, xsave

from gdbfpu.cli import main


def run(*arguments, data=b""):
    return subprocess.run(
        [sys.executable, "-m", "gdbfpu", *arguments], input=data, capture_output=True, timeout=30
    )


def test_json_from_standard_input():
    done = run("decode", "-", "--format", "json", data=bytes(legacy(fcw=0x27F)))
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["registers"]["fcw"]["bytes"] == "7f02"


def test_table_of_a_file(tmp_path, capsys):
    path = tmp_path / "image"
    path.write_bytes(bytes(put(xsave(7), 831, b"\1")))
    assert main(["decode", str(path), "--component", "AVX"]) == 0
    out = capsys.readouterr().out
    assert "ymm15" in out
    assert "xmm0" not in out


def test_components_may_be_repeated(tmp_path, capsys):
    path = tmp_path / "image"
    path.write_bytes(bytes(put(xsave(7), 831, b"\1")))
    command = ["decode", str(path), "--component", "avx", "--component", "x87"]
    assert main([*command, "--format", "json"]) == 0
    registers = json.loads(capsys.readouterr().out)["registers"]
    assert "fcw" in registers
    assert "ymm0" in registers
    assert "xmm0" not in registers


def test_image_is_forced(tmp_path, capsys):
    path = tmp_path / "image"
    path.write_bytes(bytes(2440))
    assert main(["decode", str(path), "--image", "compacted", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["format"] == "compacted"


def failing(capsys, *arguments):
    assert main(["decode", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_auto_asks_in_one_line(tmp_path, capsys):
    path = tmp_path / "image"
    path.write_bytes(bytes(2440))
    assert failing(capsys, str(path)) == (
        "gdbfpu: 2440 bytes without XCOMP_BV[63] can be two formats; "
        "say --image standard or compacted"
    )


def test_missing_file(tmp_path, capsys):
    path = str(tmp_path / "none")
    assert failing(capsys, path) == f"gdbfpu: cannot read {path}: No such file or directory"


def test_file_that_is_no_image(capsys):
    assert failing(capsys, "/dev/zero").startswith("gdbfpu: /dev/zero has more than 1048576 bytes")


@pytest.mark.parametrize(
    ("module", "package", "words"),
    [
        ("elftools", "pyelftools", ("layout", "vmlinux")),
        ("pygments", "pygments", ("report", "--from", "events")),
        ("tabulate", "tabulate", ("report", "--from", "events", "--by", "path")),
    ],
)
def test_package_that_is_not_installed(module, package, words, tmp_path, capsys, monkeypatch):
    """It is named in one line, whichever it is."""
    (tmp_path / "events").write_text('{"schema": 1}\n')
    subprocess.run(
        ["gcc", "-g", "-x", "c", "-", "-o", tmp_path / "vmlinux"],
        input=b"struct fpu { int last_cpu; } fpu; int copy_fpstate_to_sigframe(void) { return 0; }"
        b"struct task_struct { int flags; } init_task; int main(void) { return 0; }",
        check=True,
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GDBFPU_CACHE", "off")
    monkeypatch.setattr(os, "isatty", lambda _: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert f" the Python package {package}: install it, or " in line


def test_unknown_component(tmp_path, capsys):
    path = tmp_path / "image"
    path.write_bytes(bytes(legacy()))
    assert failing(capsys, str(path), "--component", "AVX") == (
        "gdbfpu: the image has no component 'AVX'; it has x87, SSE"
    )


def test_reader_that_has_gone_away(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(bytes(legacy()))
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gdbfpu", "decode", str(path)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=30)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")
