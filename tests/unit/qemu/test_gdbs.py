# SPDX-License-Identifier: GPL-2.0-or-later
"""GDBs of other suites: what is unpacked, how it is run, and what is said when it cannot be had.

Debian is replaced: its packages are a tree whose loader prints how it was called.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from qemu import gdbs
from qemu.errors import SetupError

LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
# Answers what is asked of it when it is obtained, else prints its arguments, one a line.
ECHO = """#!/bin/sh
case "$*" in
*compile.gdb*) exit {status} ;;
*gdb.VERSION*) echo 99.1 3.99.0 ;;
*) printf '%s\\n' "$@" ;;
esac
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in a directory whose name a shell would split."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    return tmp_path / "a cache" / "gdbfpu" / "gdbs"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The suites that were downloaded from; their GDB works."""
    return replace_debian(monkeypatch, status=0)


def replace_debian(monkeypatch: pytest.MonkeyPatch, *, status: int) -> list[str]:
    suites: list[str] = []

    def download(suite: str, packages: list[str], into: Path, *, closure: bool) -> list[Path]:
        assert closure
        assert {"gdb", "python3-capstone", "python3-pyelftools"} <= {*packages}
        into.mkdir()
        suites.append(suite)
        return [into / "gdb.deb"]

    def unpack(_debs: object, root: Path) -> None:
        for name in (LOADER, "usr/bin/gdb", "usr/bin/python3.99"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(ECHO.format(status=status))
            (root / name).chmod(0o755)

    monkeypatch.setattr(gdbs, "download", download)
    monkeypatch.setattr(gdbs, "unpack", unpack)
    return suites


def test_downloaded_once_and_nothing_else_kept(cache, asked):
    program = gdbs.obtain("some")
    assert gdbs.obtain("some") == program
    assert asked == ["some"]
    (kept,) = cache.iterdir()
    assert program == kept / "usr/bin/gdb"
    assert [path.name for path in kept.iterdir()] == ["usr"]


def test_another_dependency_makes_another_one(cache, asked, monkeypatch):
    before = gdbs.obtain("some")
    monkeypatch.setattr(
        gdbs, "_packages", lambda: ["gdb", "python3-capstone", "python3-pyelftools"]
    )
    assert gdbs.obtain("some") != before
    assert asked == ["some", "some"]


def test_runs_with_its_own_loader_and_libraries(cache, asked):
    usr = gdbs.obtain("some").parents[1]
    for name, options in (("gdb", gdbs._THREADS.split(" ", 1)), ("python3.99", [])):
        program = usr / "bin" / name
        said = gdbs._run(program, "a  b").splitlines()
        asked_for = ["-nx", "-batch", "-ex", "a  b"]
        folder = str(usr / "lib/x86_64-linux-gnu")
        assert said[:4] == ["--argv0", str(program), "--library-path", folder]
        options = [option.strip("'") for option in options]
        assert said[4:] == [f"{program}.elf", *options, *asked_for]


def test_versions(cache, asked):
    assert gdbs.versions_of(gdbs.obtain("some")) == gdbs.Versions("99.1", "3.99.0")


def test_gdb_that_does_not_run_is_not_kept(cache, monkeypatch):
    replace_debian(monkeypatch, status=1)
    with pytest.raises(SetupError, match="gdb does not run: exit status 1"):
        gdbs.obtain("some")
    assert list(cache.iterdir()) == []


def test_suite_without_a_gdb_is_told(cache, asked, monkeypatch):
    monkeypatch.setattr(gdbs, "unpack", lambda _debs, root: None)
    with pytest.raises(SetupError, match="no gdb in"):
        gdbs.obtain("some")
    assert list(cache.iterdir()) == []


def test_missing_program_is_told(tmp_path):
    with pytest.raises(SetupError, match="nosuch does not run"):
        gdbs.versions_of(tmp_path / "nosuch")


def test_environment_names_the_gdb(monkeypatch):
    monkeypatch.delenv("GDB", raising=False)
    assert gdbs.gdb_program() == "gdb"
    monkeypatch.setenv("GDB", "")
    assert gdbs.gdb_program() == "gdb"
    monkeypatch.setenv("GDB", "/opt/gdb")
    assert gdbs.gdb_program() == "/opt/gdb"
