# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache: XDG's directory, locks between processes, nothing half-written."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qemu.cache import cache_root, lock, publish

_ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "gdbfpu"


def _python(code: str, *argv: str) -> subprocess.Popen:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code, *argv], cwd=_ROOT, text=True, **pipes)


def test_root_is_in_xdg_cache_home(cache):
    assert cache_root() == cache


@pytest.mark.parametrize("value", ["", "relative/cache"])
def test_root_is_in_home_where_xdg_names_no_absolute_path(monkeypatch, value):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", "/home/nobody")
    assert cache_root() == Path("/home/nobody/.cache/gdbfpu")


_HOLD = "from qemu.cache import lock\nwith lock('x'): print('in', flush=True); input()"


def test_second_process_waits_for_the_lock_and_says_so():
    with _python(_HOLD) as holder:
        assert holder.stdout.readline() == "in\n"
        with _python(_HOLD) as waiter:
            assert "waiting for another process" in waiter.stderr.readline()
            assert not select.select([waiter.stdout], [], [], 0.2)[0]
            holder.communicate("\n", timeout=10)
            assert waiter.communicate("\n", timeout=10)[0] == "in\n"


def test_killed_holder_frees_the_lock(capsys):
    with _python(_HOLD) as holder:
        assert holder.stdout.readline() == "in\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    with lock("x"):
        pass
    assert capsys.readouterr().err == ""


def test_publish_builds_once(tmp_path):
    built = []

    def build(into: Path) -> None:
        assert not any(into.iterdir())
        (into / "file").write_text("whole")
        built.append(into)

    final = tmp_path / "deep" / "thing"
    assert publish(build, final) == final
    assert publish(build, final) == final
    assert (final / "file").read_text() == "whole"
    assert len(built) == 1
    assert built[0].parent == final.parent
    assert [path.name for path in final.parent.iterdir()] == ["thing"]


def test_two_builders_at_once_build_once(tmp_path):
    code = """
import sys
from pathlib import Path
from qemu.cache import publish
def build(into):
    print("building", flush=True)
    input()
    (into / "file").touch()
publish(build, Path(sys.argv[1]))
print("there" if Path(sys.argv[1], "file").exists() else "missing")
"""
    final = str(tmp_path / "things" / "thing")
    with _python(code, final) as first:
        assert first.stdout.readline() == "building\n"
        with _python(code, final) as second:
            assert "waiting for another process" in second.stderr.readline()
            assert first.communicate("\n", timeout=10)[0] == "there\n"
            assert second.communicate("\n", timeout=10)[0] == "there\n"


def test_failed_build_publishes_nothing(tmp_path):
    def build(into: Path) -> None:
        (into / "file").write_text("half")
        raise ValueError("no")

    final = tmp_path / "things" / "thing"
    with pytest.raises(ValueError, match="no"):
        publish(build, final)
    assert list(final.parent.iterdir()) == []


def test_what_a_killed_builder_left_is_removed(tmp_path):
    code = """
import sys
from pathlib import Path
from qemu.cache import publish
def build(into):
    (into / "file").write_text("half")
    print(into, flush=True)
    input()
publish(build, Path(sys.argv[1]))
"""
    final = tmp_path / "things" / "thing"
    with _python(code, str(final)) as builder:
        left = Path(builder.stdout.readline().strip())
        builder.send_signal(signal.SIGKILL)
        builder.wait(10)
    assert (left / "file").read_text() == "half"
    assert not final.exists()
    publish(lambda into: (into / "file").write_text("whole"), final)
    assert not left.exists()
    assert [path.name for path in final.parent.iterdir()] == ["thing"]
    assert (final / "file").read_text() == "whole"
