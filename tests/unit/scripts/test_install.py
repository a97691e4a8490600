# SPDX-License-Identifier: GPL-2.0-or-later
"""`make install` makes `gdbfpu` a command, `make uninstall` takes it away, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fpu_images import legacy

ROOT = Path(__file__).parents[3]


@pytest.fixture
def home(tmp_path):
    (tmp_path / "a user's home").mkdir()
    return tmp_path / "a user's home"


@pytest.fixture
def cache(tmp_path):
    """A cache whose environment is that of these tests."""
    binaries = tmp_path / "cache/gdbfpu/venv/bin"
    binaries.mkdir(parents=True)
    (binaries / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (binaries / "python").chmod(0o755)
    return tmp_path / "cache"


@pytest.fixture
def install(home, cache):
    def run(*words, checkout=ROOT, **env):
        base = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(cache)}
        base.pop("XDG_CONFIG_HOME", None)
        command = [sys.executable, str(checkout / "scripts/install"), *words]
        return subprocess.run(command, env={**base, **env}, capture_output=True, text=True)

    return run


@pytest.fixture
def command(home):
    return home / ".local/bin/gdbfpu"


def run(command, *words, cwd="/", **env):
    environment = {"PATH": os.environ["PATH"], **env}
    return subprocess.run(
        [command, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
    )


def copied(checkout):
    """A checkout of one's own at `checkout`, with all that the command needs."""
    shutil.copytree(ROOT / "gdbfpu", checkout / "gdbfpu", ignore=shutil.ignore_patterns("*.pyc"))
    (checkout / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/install", checkout / "scripts/install")
    return checkout


def test_it_runs_in_any_directory(install, command, tmp_path):
    """Whatever is in there: a module of Python's name is none of its own."""
    done = install()
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "image").write_bytes(bytes(legacy(fcw=0x27F)))
    for name in ("json.py", "gdbfpu.py", "sitecustomize.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong one')\n")
    words = ("decode", "image", "--format", "json")
    done = run(command, *words, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["registers"]["fcw"]["bytes"] == "7f02"
    done = run(command, "decode", "a 'b' c")
    assert done.stderr == "gdbfpu: cannot read a 'b' c: No such file or directory\n"
    assert done.returncode == 1


def test_it_says_where_and_whether_a_shell_finds_it(install, command):
    elsewhere = install(PATH="/usr/bin:/bin").stdout
    assert f"installed {command}; {command.parent} is not on your PATH" in elsewhere
    assert 'export PATH="$HOME/.local/bin:$PATH"' in elsewhere
    there = install(PATH=f"/usr/bin:/bin:{command.parent}").stdout
    assert f"installed {command}; in a shell say: gdbfpu --help\n" in there


def test_uninstall_leaves_nothing(install, home, command):
    install()
    done = install("--remove")
    assert (done.returncode, f"removed {command}\n" in done.stdout) == (0, True)
    assert list(home.iterdir()) == []
    done = install("--remove")
    assert (done.returncode, f"not installed: {command}\n" in done.stdout) == (0, True)


def test_uninstall_leaves_other_commands(install, command):
    install()
    (command.parent / "other").touch()
    install("--remove")
    assert [path.name for path in command.parent.iterdir()] == ["other"]


def test_what_is_not_ours_is_neither_written_over_nor_removed(install, command):
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\necho mine\n")
    done = install()
    assert done.returncode == 1
    assert done.stderr == (
        f"install: {command}: it is not gdbfpu's: move it away, then run this again\n"
    )
    assert "source gdbfpu" in done.stdout  # GDB's line is put in all the same
    install("--remove")
    assert command.read_text() == "#!/bin/sh\necho mine\n"


def test_the_last_checkout_has_it(install, command, tmp_path):
    other = copied(tmp_path / "another's checkout")
    install()
    install(checkout=other)
    assert str(other).replace("'", "'\"'\"'") in command.read_text()
    done = install("--remove")
    assert f"not removed, for it is another checkout's: {command}\n" in done.stdout
    assert run(command, "--help").returncode == 0
    shutil.rmtree(other / "gdbfpu")
    done = run(command, "--help")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"gdbfpu: {other} is gone: run `make install` where it is now\n"


def test_without_make_setup_it_says_so(install, command, cache):
    install()
    shutil.rmtree(cache)
    done = run(command, "--help")
    python = cache / "gdbfpu/venv/bin/python"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"gdbfpu: there is no {python}: run `make setup` in {ROOT}\n"


def test_an_interrupt_while_it_starts(install, command):
    """No moment is too early: what Python itself does at first is covered, too."""
    install()
    for milliseconds in range(0, 80, 8):
        process = subprocess.Popen(
            [command, "decode", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(30) == -signal.SIGINT
            assert (process.stdout.read(), process.stderr.read()) == (b"", b"")
        finally:
            process.kill()
            process.communicate()
