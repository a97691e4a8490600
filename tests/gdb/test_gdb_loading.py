# SPDX-License-Identifier: GPL-2.0-or-later
"""`source gdbfpu`: from any directory once installed, and what it says when it cannot load."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from gdb_harness import (
    DEADLINE,
    NOTES,
    ROOT,
    WORKS,
    Compiler,
    environment,
    gdb,
    started,
    trace,
)  # fmt: skip

from gdbfpu.commands.dependencies import PACKAGES

CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")


def _install(home: Path, *arguments: str) -> str:
    process = subprocess.run(
        [sys.executable, ROOT / "scripts/install", *arguments],
        env=environment(HOME=str(home), XDG_CONFIG_HOME=""),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    return process.stdout


def test_from_any_directory(tmp_path: Path) -> None:
    """Elsewhere, in the repository's root (where gdbfpu/ is a folder), and not once removed."""
    home = tmp_path / "home with a space"
    home.mkdir()
    (home / ".gdbinit").write_text("set $mine = 44\n")
    environ = {"HOME": str(home), "XDG_CACHE_HOME": CACHE, "XDG_CONFIG_HOME": ""}
    assert "installed in" in _install(home)
    for folder in (tmp_path, ROOT, ROOT / "gdbfpu"):
        output = gdb(
            "source gdbfpu", "fpu-trace status", "output $mine", env=environ, cwd=folder, init=True
        )
        assert output.parts[:3] == ["", WORKS, "44"]
    _install(home, "--remove")
    assert (home / ".gdbinit").read_text() == "set $mine = 44\n"
    output = gdb("source gdbfpu", "fpu-trace status", env=environ, cwd=tmp_path, init=True)
    assert "No such file or directory" in output.parts[0]
    assert 'Undefined command: "fpu-trace"' in output.parts[1]


def test_a_missing_dependency_is_named(tmp_path: Path) -> None:
    """One line: which, and the command that installs it for this Python."""
    filtered = "python import sys; sys.path[:] = [p for p in sys.path if 'packages' not in p]"
    output = gdb(
        filtered,
        "source gdbfpu",
        "python print('%d.%d' % sys.version_info[:2])",
        "fpu-trace status",
        env={"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": ""},
    )
    line = output.parts[1]
    assert "\n" not in line
    for package in ("pyelftools", "capstone", "tabulate", "pygments", "wcwidth"):
        assert line.count(package) == 2
    said = re.search(r"install with: (\S+) -m pip install --target (\S+) ", line)
    assert said is not None
    version = subprocess.run([said[1], "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith(f"Python {output.parts[2]}.")
    assert f"GDB's Python {output.parts[2]} lacks" in line
    assert said[2].startswith(f"{tmp_path}/gdbfpu/")
    assert 'Undefined command: "fpu-trace"' in output.parts[3]


def test_an_installation_has_its_packages_beside_it(tmp_path: Path) -> None:
    """Not in the cache: what is missing is missing there.

    They go before other packages of GDB's Python, and not before what belongs to Python.
    """
    found = gdb("python import sys; print('%d.%d' % sys.version_info[:2])").parts[0]
    home = tmp_path / f"lib/python{found}/site-packages"
    shutil.copytree(ROOT / "gdbfpu", home / "gdbfpu", ignore=shutil.ignore_patterns("*.pyc"))
    for module in set(PACKAGES) - {"capstone"}:
        (home / f"{module}.py").touch()
    filtered = "python import sys; sys.path[:] = [p for p in sys.path if 'packages' not in p]"
    output = gdb(filtered, f"source {home}/gdbfpu/source/gdbfpu")
    said = f"lacks capstone; install with: .* --target {home} capstone"
    assert re.fullmatch(f"gdbfpu: .* {said}", output.parts[1])
    (home / "capstone.py").touch()
    (tmp_path / "other-packages").mkdir()
    for folder, module in ((tmp_path / "other-packages", "tabulate"), (home, "colorsys")):
        (folder / f"{module}.py").touch()
    output = gdb(
        f"{filtered}; sys.path.append('{tmp_path}/other-packages')",
        f"source {home}/gdbfpu/source/gdbfpu",
        "python import colorsys, tabulate; print(colorsys.__file__ or '', tabulate.__file__)",
    )
    assert output.parts[1] == ""
    own, beside = output.parts[2].split()
    assert beside == f"{home}/tabulate.py"
    assert not own.startswith(str(home))


def test_a_relative_cache_is_ignored(tmp_path: Path) -> None:
    """As the XDG specification has it, and as all other parts do."""
    (tmp_path / ".cache/gdbfpu").mkdir(parents=True)
    (tmp_path / ".cache/gdbfpu/venv").symlink_to(Path(CACHE) / "gdbfpu/venv")
    output = gdb(
        "source gdbfpu",
        "fpu-trace status",
        "python print([p for p in sys.path if 'gdbfpu/venv' in p])",
        env={"XDG_CACHE_HOME": "relative", "HOME": str(tmp_path), "PYTHONPATH": ""},
    )
    assert output.parts[1] == WORKS
    assert f"'{tmp_path}/.cache/gdbfpu/venv/" in output.parts[2]
    assert output.parts[2].count("site-packages") == 1


def test_one_missing_dependency(tmp_path: Path) -> None:
    """Only what is missing is named."""
    hide = (
        "python import importlib.util as u; f = u.find_spec; "
        "u.find_spec = lambda name, *more: None if name == 'tabulate' else f(name, *more)"
    )
    output = gdb(hide, "source gdbfpu", "fpu-trace status", cwd=tmp_path)
    assert re.fullmatch(r"gdbfpu: .* lacks tabulate; install with: .* tabulate", output.parts[1])


def test_loading_imports_no_dependency() -> None:
    """They take longer than all else; each is imported when it is first needed."""
    loaded = "python import sys; print(sorted({'elftools', 'capstone', 'tabulate', 'pygments'} & "
    loaded += "set(sys.modules)), 'gdbfpu.commands.trace_options' in sys.modules)"
    output = gdb("source gdbfpu", "help fpu-trace", loaded, "fpu-trace status")
    assert "usage: fpu-trace " in output.parts[1]
    assert output.parts[2:4] == ["[] True", WORKS]


def test_by_its_path(tmp_path: Path) -> None:
    """Without `make install`, from anywhere: absolute, relative, by a link, out of a script."""
    link, script = tmp_path / "fpu.gdb", tmp_path / "mine"
    file = ROOT / "scripts/gdbfpu"
    link.symlink_to(file)
    script.write_text(f"source {file}\n")
    near = os.path.relpath(file, tmp_path)
    for name in (file, near, link, script):
        output = gdb("directory", f"source {name}", "fpu-trace status", cwd=tmp_path)
        assert output.parts[1:3] == ["", WORKS], name


def test_its_own_folder_is_not_found(tmp_path: Path) -> None:
    """A copy of the file alone, sourced by its path, says what to do."""
    copy = tmp_path / "gdbfpu"
    copy.write_bytes((ROOT / "scripts/gdbfpu").read_bytes())
    output = gdb("directory", f"source {copy}", cwd=tmp_path)
    assert output.parts[1] == (
        "gdbfpu: this is a copy of the file: source the one in gdbfpu's own folder, by its path"
    )


def test_status_tells_of_the_cache(compiler: Compiler, tmp_path: Path) -> None:
    """One session reads DWARF, the next what that kept; another build-id is another kernel."""
    script = tmp_path / "notes.ld"
    script.write_text(NOTES)
    (tmp_path / "gdbfpu").mkdir()
    (tmp_path / "gdbfpu/venv").symlink_to(Path(CACHE) / "gdbfpu/venv")
    cached = {"XDG_CACHE_HOME": str(tmp_path), "GDBFPU_CACHE": ""}

    def status(build_id: str, **env: str) -> str:
        program = compiler(f"-Wl,-T,{script}", f"-Wl,--build-id=0x{build_id}")
        commands = (*started(program), "fpu-trace on --quiet", "fpu-trace status", "python import "
            "sys; print('elftools' in sys.modules)")  # fmt: skip
        parts = gdb(*commands, env={**cached, **env}, cwd=tmp_path).parts
        return parts[5].splitlines()[0].partition("; layouts from ")[2] + f", {parts[6]}"

    one, two = "0123456789abcdef" * 2, "fedcba9876543210" * 2
    assert [status(one), status(one)] == ["DWARF, True", "cache (DWARF), False"]
    assert status(two) == "DWARF, True"
    assert status(one, GDBFPU_CACHE="off") == "DWARF, True"
    kept = tmp_path / "gdbfpu/layouts"
    assert sorted(path.name for path in kept.iterdir()) == [f"{one}.json", f"{two}.json"]
    (kept / f"{one}.json").write_bytes((kept / f"{two}.json").read_bytes())
    assert [status(one), status(one)] == ["DWARF, True", "cache (DWARF), False"]


def test_a_warning_of_python_fails_a_test() -> None:
    with pytest.raises(AssertionError, match="DeprecationWarning"):
        gdb("python import warnings; warnings.warn('old', DeprecationWarning)")


def test_capstone_is_imported_when_it_is_needed(kernel44: Path) -> None:
    """It takes a third of the time of a first command: only what plants probes needs it."""
    there = "python print('capstone' in sys.modules)"
    asked = ("fpu-trace status", "fpu-state 30", "fpu-report", "fpu-info", "fpu-trace probes")
    output = trace(kernel44, *asked, there, "fpu-trace on", there)
    assert [output.parts[len(asked)], output.parts[-2]] == ["False", "True"]
