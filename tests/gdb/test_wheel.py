# SPDX-License-Identifier: GPL-2.0-or-later
"""The wheel and the sdist: what is in them, and all that works without a checkout.

The system's GDB loads it, whatever GDB other tests run.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from event_files import HEADER, HIT, written
from fpu_images import legacy
from gdb_harness import DEADLINE, ROOT, WORKS

from gdbfpu import __version__
from gdbfpu.commands.parsers import GDB, SHELL

BUILDING = 300.0  # seconds; packages are downloaded
PYTHON = "python{}.{}".format(*sys.version_info)
NAME = f"gdbfpu-{__version__}"


def run(*command, **env):
    """Run a program in `/`, with nothing of this checkout in its environment."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "XDG_CONFIG_HOME", "MANPATH")
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [str(word) for word in command],
        cwd="/",
        env={**inherited, **env},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sdist, and the wheel built from that."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILDING)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment that has the wheel and what it depends on, and nothing else."""
    venv = tmp_path_factory.mktemp("a venv") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=BUILDING)
    command = [venv / "bin/python", "-m", "pip", "--disable-pip-version-check", "install"]
    wheel = next(built.glob("*.whl"))
    done = subprocess.run([*command, wheel], capture_output=True, text=True, timeout=BUILDING)
    assert done.returncode == 0, done.stdout + done.stderr
    return venv


@pytest.fixture
def user(installed: Path, tmp_path: Path) -> dict[str, str]:
    """Return the environment of a user who has nothing but the installation."""
    path = f"{installed / 'bin'}:{os.environ['PATH']}"
    return {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": path}


def gdb(user, *commands):
    words = (word for command in commands for word in ("-ex", command))
    done = run("gdb", "-batch", *words, **user)
    assert "Traceback" not in done.stderr
    return done


def kept(folder: Path) -> set[str]:
    """The files of the checkout that git does not ignore."""
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    names = (path.relative_to(ROOT) for path in folder.rglob("*") if not path.is_dir())
    return {
        str(name)
        for name in names
        if name.parts[0] != ".git"
        and not any(fnmatch.fnmatch(part, each) for part in name.parts for each in ignored)
    }


def test_the_sdist_has_the_whole_checkout(built: Path) -> None:
    """So that a person can build, test and change it."""
    with tarfile.open(built / f"{NAME}.tar.gz") as file:
        members = {member.name: member for member in file.getmembers()}
    names = {name.partition("/")[2] for name in members}
    assert names - {"PKG-INFO"} == kept(ROOT)
    assert {"Makefile", "LICENSE", "tests/gdb/test_wheel.py", "qemu/vm.py"} < names
    assert members[f"{NAME}/scripts/gdbfpu"].linkname == "../gdbfpu/source/gdbfpu"
    assert members[f"{NAME}/scripts/setup"].mode & 0o100


def test_the_wheel_has_what_a_user_needs_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(built / f"{NAME}-py3-none-any.whl") as file:
        names = set(file.namelist())
        licence = file.read(f"{NAME}.dist-info/licenses/LICENSE")
    assert licence == (ROOT / "LICENSE").read_bytes()
    pages = {"gdbfpu", *GDB, *(f"gdbfpu-{name}" for name in SHELL)}
    shared = {
        "bash-completion/completions/gdbfpu",
        "fish/vendor_completions.d/gdbfpu.fish",
        "zsh/site-functions/_gdbfpu",
        *(f"man/man1/{page}.1" for page in pages),
    }
    records = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert names == {
        *kept(ROOT / "gdbfpu"),
        *(f"{NAME}.data/data/share/{name}" for name in shared),
        *(f"{NAME}.dist-info/{name}" for name in records),
    }
    assert "gdbfpu/source/gdbfpu" in names


def test_the_command_works(user, tmp_path: Path) -> None:
    assert run("gdbfpu", "--version", **user).stdout == f"gdbfpu {__version__}\n"
    (tmp_path / "image").write_bytes(bytes(legacy(fcw=0x27F)))
    done = run("gdbfpu", "decode", tmp_path / "image", **user)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0x027f" in done.stdout
    done = run("gdbfpu", "report", written(tmp_path / "hits", HIT, header=HEADER), **user)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Xorg" in done.stdout
    page = ("--to", "html", "--out", tmp_path / "page.html")
    done = run("gdbfpu", "export", tmp_path / "hits", *page, **user)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Xorg" in (tmp_path / "page.html").read_text()


def test_gdb_loads_it_from_any_directory(installed: Path, user, tmp_path: Path) -> None:
    """With its own packages: there is no cache, and no checkout."""
    done = run("gdbfpu", "install-gdb", **user)
    assert done.stdout == f"installed in {tmp_path}/.gdbinit; in GDB say: source gdbfpu\n"
    where = "python import capstone, gdbfpu; print(gdbfpu.__file__, capstone.__file__)"
    done = gdb(user, "source gdbfpu", "fpu-trace status", where)
    assert done.stderr == ""
    packages = installed / f"lib/{PYTHON}/site-packages"
    files = f"{packages}/gdbfpu/__init__.py {packages}/capstone/__init__.py"
    assert done.stdout.splitlines() == [WORKS, files]
    assert not (tmp_path / "cache").exists()
    assert run("gdbfpu", "uninstall-gdb", **user).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_pages_are_found(installed: Path, user) -> None:
    for page in ("gdbfpu", "gdbfpu-decode", "fpu-trace"):
        done = run("man", "-w", page, **user)
        assert done.stdout == f"{installed}/share/man/man1/{page}.1\n"


def test_another_python_is_one_clear_line(installed: Path, user, tmp_path: Path) -> None:
    """Before the line is put in, and in GDB, which may come to have another Python."""
    said = "install it for that one; with pipx: pipx reinstall --python"
    program = tmp_path / "bin/gdb"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 3.99 /opt\n")
    program.chmod(0o755)
    done = run("gdbfpu", "install-gdb", **{**user, "PATH": f"{program.parent}:{user['PATH']}"})
    assert (done.returncode, done.stdout) == (1, "")
    own = PYTHON.removeprefix("python")
    assert done.stderr == (
        f"gdbfpu: it is installed for Python {own}, and GDB has Python 3.99: {said} "
        "/opt/bin/python3.99 gdbfpu\n"
    )
    assert not (tmp_path / ".gdbinit").exists()
    other = tmp_path / "lib/python3.99/site-packages"
    shutil.copytree(installed / f"lib/{PYTHON}/site-packages/gdbfpu", other / "gdbfpu")
    done = gdb(user, f"source {other}/gdbfpu/source/gdbfpu", "fpu-trace status")
    line, undefined = done.stderr.splitlines()
    assert line.startswith(f"gdbfpu: it is installed for Python 3.99, and GDB has Python {own}: ")
    assert f"{said} {sys.base_prefix}/bin/{PYTHON} gdbfpu" in line
    assert undefined.startswith('Undefined command: "fpu-trace"')


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo Python scripting is not supported >&2; exit 1", "this GDB has no Python"),
        (None, "there is no gdb: install it"),
    ],
)
def test_a_gdb_that_cannot_load_it_is_one_clear_line(user, tmp_path, body, said) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    if body:
        (folder / "gdb").write_text(f"#!/bin/sh\n{body}\n")
        (folder / "gdb").chmod(0o755)
    program = user["PATH"].partition(":")[0]
    done = run(f"{program}/gdbfpu", "install-gdb", **{**user, "PATH": str(folder)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"gdbfpu: {said}")
    assert done.stderr.count("\n") == 1
