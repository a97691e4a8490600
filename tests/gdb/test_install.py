# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu install-gdb`: one line in the init file that GDB reads, and out again, exactly it.

`make install` uses the same code; tests/unit/scripts/test_install.py is about the rest of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qemu.gdbs import gdb_program

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A checkout whose path has a space and a quote, and whose loader says that it was read."""
    return _copied(tmp_path / "a user's checkout")


def _copied(root: Path) -> Path:
    ignored = shutil.ignore_patterns("*.pyc")
    shutil.copytree(_ROOT / "gdbfpu", root / "gdbfpu", ignore=ignored)
    (root / "gdbfpu/source/gdbfpu").write_text("echo the loader was read\\n\n")
    return root


@pytest.fixture
def home(tmp_path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def _environment(home: Path, **more: str) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key != "XDG_CONFIG_HOME"}
    return {**inherited, "HOME": str(home), **more}


def _run(checkout: Path, home: Path, word: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gdbfpu", word]
    environment = _environment(home, PYTHONDONTWRITEBYTECODE="1", **more)
    return subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=60
    )


def _install(checkout: Path, home: Path, word: str = "install-gdb", **more: str) -> str:
    process = _run(checkout, home, word, **more)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def _source(home: Path, cwd: Path, **more: str) -> str:
    """Return what GDB says to `source gdbfpu` in the directory `cwd`."""
    command = [gdb_program(), "-batch", "-ex", "source gdbfpu"]
    environment = _environment(home, **more)
    process = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    return process.stdout


def test_source_works_from_any_directory_and_beside_the_package(checkout, home):
    assert "the loader was read" not in _source(home, home)
    _install(checkout, home)
    for cwd in (home, checkout, Path("/")):
        assert "the loader was read" in _source(home, cwd)


def test_one_line_however_often_and_nothing_else_in_the_home_directory(checkout, home):
    assert "source gdbfpu" in _install(checkout, home)
    once = (home / ".gdbinit").read_bytes()
    assert once.count(b"\n") == 1
    assert "already" in _install(checkout, home)
    assert (home / ".gdbinit").read_bytes() == once
    files = [path.relative_to(home) for path in home.rglob("*") if path.is_file()]
    assert sorted(map(str, files)) == [".gdbinit"]


def test_uninstall_of_all_that_was_there_removes_the_file(checkout, home):
    _install(checkout, home)
    _install(checkout, home, "uninstall-gdb")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    "before",
    [b"set pagination off\n", b"set pagination off", b"# \xff\xfe\n\n\n", b"\n"],
)
def test_uninstall_restores_every_byte(checkout, home, before):
    file = home / ".gdbinit"
    file.write_bytes(before)
    file.chmod(0o600)
    _install(checkout, home)
    assert len(file.read_bytes().splitlines()) == len(before.splitlines()) + 1
    assert "the loader was read" in _source(home, home)
    _install(checkout, home, "uninstall-gdb")
    assert file.read_bytes() == before
    assert file.stat().st_mode & 0o777 == 0o600


def test_uninstall_leaves_lines_written_later(checkout, home):
    file = home / ".gdbinit"
    file.write_text("set height 0")
    _install(checkout, home)
    file.write_text(file.read_text() + "\nset width 0\n")
    _install(checkout, home, "uninstall-gdb")
    assert file.read_text() == "set height 0\nset width 0\n"


def test_uninstall_without_install_changes_nothing(checkout, home):
    assert "not installed" in _install(checkout, home, "uninstall-gdb")
    assert list(home.iterdir()) == []


def test_line_goes_where_gdb_looks_first(checkout, home):
    (home / ".gdbinit").write_text("set height 0\n")
    config = home / ".config" / "gdb" / "gdbinit"
    config.parent.mkdir(parents=True)
    config.write_text("set width 0\n")
    _install(checkout, home)
    assert (home / ".gdbinit").read_text() == "set height 0\n"
    assert "the loader was read" in _source(home, checkout)


def test_xdg_config_home_is_respected(checkout, home, tmp_path):
    xdg = tmp_path / "xdg"
    (xdg / "gdb").mkdir(parents=True)
    (xdg / "gdb" / "gdbinit").touch()
    _install(checkout, home, XDG_CONFIG_HOME=str(xdg))
    assert list(home.iterdir()) == []
    assert "the loader was read" in _source(home, checkout, XDG_CONFIG_HOME=str(xdg))


def test_symbolic_link_stays_one(checkout, home, tmp_path):
    dotfile = tmp_path / "dotfile"
    dotfile.write_text("set height 0\n")
    (home / ".gdbinit").symlink_to(dotfile)
    _install(checkout, home)
    assert (home / ".gdbinit").is_symlink()
    assert len(dotfile.read_text().splitlines()) == 2


def test_file_that_cannot_be_written_is_one_clear_line(checkout, home):
    (home / ".gdbinit").mkdir()
    process = _run(checkout, home, "install-gdb")
    assert process.returncode == 1
    assert process.stderr == f"gdbfpu: cannot write {home}/.gdbinit: Is a directory\n"


def test_the_last_installation_has_the_line(checkout, home, tmp_path):
    """What was installed elsewhere before is replaced, wherever its line stands."""
    other = _copied(tmp_path / "other")
    (other / "gdbfpu/source/gdbfpu").write_text("echo the other was read\\n\n")
    (home / ".gdbinit").write_text("set height 0\ndirectory /my/gdbfpu/sources\n")
    before = (home / ".gdbinit").read_text()
    _install(checkout, home)
    with (home / ".gdbinit").open("a") as file:
        file.write("set width 0\n")
    _install(other, home)
    assert "the other was read" in _source(home, home)
    assert (home / ".gdbinit").read_text().count("gdbfpu/source\n") == 1
    assert f"for it is another installation's: {other}/gdbfpu/source" in _install(
        checkout, home, "uninstall-gdb"
    )
    assert "the other was read" in _source(home, home)
    _install(other, home, "uninstall-gdb")
    assert (home / ".gdbinit").read_text() == f"{before}set width 0\n"


def test_gdb_starts_when_the_package_is_gone_and_reads_the_rest(checkout, home, tmp_path):
    _install(checkout, home)
    with (home / ".gdbinit").open("a") as file:
        file.write("set $mine = 44\n")
    shutil.rmtree(checkout)
    command = [gdb_program(), "-batch", "-ex", "output $mine"]
    process = subprocess.run(command, env=_environment(home), capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (0, "44")
    (line,) = process.stderr.strip().splitlines()
    assert line.lower().startswith("warning: ")  # as each GDB spells it
    assert f"{checkout}/gdbfpu/source: No such file or directory" in line
    _install(_copied(tmp_path / "again"), home, "uninstall-gdb")
    assert (home / ".gdbinit").read_text() == "set $mine = 44\n"
