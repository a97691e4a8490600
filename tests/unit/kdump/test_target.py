# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands on dumps, as far as they go without one; tests/vm/test_kdump.py has a dump."""

from __future__ import annotations

import sys

import pytest

from gdbfpu.cli import main


def failing(capsys, *words):
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_drgn_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "drgn", None)
    assert failing(capsys, "info", "--core", "core", "--vmlinux", "vmlinux") == (
        "gdbfpu: reading a kdump file needs drgn: pip install drgn"
    )


@pytest.mark.parametrize("command", ["state", "info"])  # report: see test_eventreport.py
def test_dump_has_to_be_named(capsys, command):
    assert failing(capsys, command) == (
        "gdbfpu: the following arguments are required: --core, --vmlinux; "
        f"see `gdbfpu {command} --help`"
    )


def test_file_that_is_no_dump(capsys, tmp_path):
    core = tmp_path / "core"
    core.write_text("not a dump of anything")
    line = failing(capsys, "info", "--core", str(core), "--vmlinux", sys.executable)
    assert line.startswith(f"gdbfpu: drgn cannot read {core}: ")


def test_files_that_are_not_there(capsys, tmp_path):
    none = str(tmp_path / "none")
    for core, vmlinux in ((none, sys.executable), (sys.executable, none)):
        line = failing(capsys, "report", "--core", core, "--vmlinux", vmlinux)
        assert line == f"gdbfpu: cannot read {none}: No such file or directory"
    words = ("--core", sys.executable, "--vmlinux", sys.executable, "--vmcoreinfo", none)
    assert failing(capsys, "report", *words) == (
        f"gdbfpu: cannot read {none}: No such file or directory"
    )


def test_contradictions_are_refused_as_in_gdb(capsys):
    line = failing(capsys, "state", "1", "--comm", "init", "--core", "c", "--vmlinux", "v")
    assert line.startswith("gdbfpu: PID or ADDRESS and --comm cannot be combined")


def test_signal_frames_are_not_offered(capsys):
    words = ("--sigframe", "0x7fff0000", "--core", "c", "--vmlinux", "v")
    assert failing(capsys, "state", *words).startswith("gdbfpu: unrecognized arguments: --sigframe")
    assert main(["state", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: gdbfpu state ")
    assert "--core" in out
    assert "sigframe" not in out
