# SPDX-License-Identifier: GPL-2.0-or-later
"""What a shell can learn of GDB by running it: its Python, packages, and `source gdbfpu`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gdbfpu
from gdbfpu.commands.gdb_init import SOURCE
from gdbfpu.doctor.distributions import distribution, install_gdb
from gdbfpu.doctor.finding import Answer, fine, trouble
from gdbfpu.errors import GdbFpuError

__all__ = ("Facts", "check_gdb", "check_packages", "check_source")

_HOME = Path(gdbfpu.__file__).resolve().parents[1]
_SOURCE = SOURCE / "gdbfpu"
_INSTALL = "gdbfpu install-gdb"
_DEADLINE = 30.0  # seconds for GDB to start; it takes a tenth of one
_MARK = "@@gdbfpu-doctor@@"
_BEFORE = "python import sys; _gdbfpu_doctor = list(sys.path)"
# The packages are looked up by the gdbfpu of this checkout, even if GDB has loaded another one.
_AFTER = f"""python
def _gdbfpu_doctor_facts():
    import importlib.util, json
    added = [path for path in sys.path if path not in _gdbfpu_doctor]
    module = sys.modules.get("gdbfpu")
    spec = importlib.util.spec_from_file_location(
        "gdbfpu_doctor_dependencies", {str(_HOME / "gdbfpu/commands/dependencies.py")!r})
    dependencies = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dependencies)
    return json.dumps({{
        "gdb": gdb.VERSION,
        "python": sys.version.split()[0],
        "lacking": dependencies.lacking(),
        "path": sys.path,
        "install": dependencies.install_command((added or sys.path)[-1]),
        "home": module and module.__file__,
        "loaded": "gdbfpu.dbg.declared" in sys.modules,
    }})
print({_MARK!r} + _gdbfpu_doctor_facts())"""


class Facts(NamedTuple):
    """What GDB tells of itself after it was to load gdbfpu.

    `gdb` and `python` are versions, `lacking` the packages that are missing and `install` the
    command that installs them, `path` where Python looks. `home` is the file of the gdbfpu that GDB
    found, if any, `loaded` whether its commands are there.
    """

    gdb: str
    python: str
    lacking: Sequence[str]
    path: Sequence[str]
    install: str
    home: str | None
    loaded: bool


def _program() -> str:
    found = shutil.which("gdb")
    if found is None:
        raise GdbFpuError("there is no GDB on your PATH")
    return found


def _run(*arguments: str) -> str:
    """Return all that GDB writes; raise GdbFpuError if it does not end."""
    try:
        done = subprocess.run(
            [_program(), "-batch", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_DEADLINE,
            cwd="/",
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GdbFpuError(f"GDB does not end within {_DEADLINE:.0f} s") from error
    except OSError as error:
        raise GdbFpuError(f"cannot run GDB: {error.strerror}") from error
    return done.stdout.decode(errors="replace")


def _facts(*arguments: str) -> Facts:
    """Return what GDB tells, run with `arguments`; raise GdbFpuError with what it says instead."""
    text = _run("-ex", _BEFORE, *arguments, "-ex", _AFTER)
    told = text.rpartition(_MARK)[2].splitlines() if _MARK in text else []
    if not told:
        said = " ".join(text.split()) or "nothing"
        raise GdbFpuError(f"GDB cannot run Python; it says: {said[:200]}")
    values: dict[str, Any] = json.loads(told[0])
    return Facts(**values)


def _own() -> Facts:
    """Return what GDB tells once it was given this very gdbfpu, without any init file."""
    return _facts("-nx", "-ex", f"source {_SOURCE}")


def check_gdb(_: object) -> Answer:
    """Is there a GDB with Python?"""
    if shutil.which("gdb") is None:
        return trouble("there is no GDB on your PATH", install_gdb(distribution()))
    try:
        found = _facts("-nx")
    except GdbFpuError as error:
        return trouble(
            f"{_program()}: {error}",
            "# a GDB that is built with Python",
            install_gdb(distribution()),
        )
    return fine(f"{_program()}, {found.gdb}, with Python {found.python}")


def check_packages(_: object) -> Answer:
    """Has GDB's Python the packages that gdbfpu needs?"""
    found = _own()
    if found.lacking:
        return trouble(
            f"GDB's Python {found.python} lacks {' and '.join(found.lacking)}; it looks in "
            f"{', '.join(filter(None, found.path))}",
            found.install,
        )
    return fine("GDB's Python has all that gdbfpu needs")


def check_source(_: object) -> Answer:
    """Does `source gdbfpu` work in any directory, as the user has set GDB up?"""
    found = _facts("-ex", "source gdbfpu")
    if found.home is None:
        return trouble("GDB does not find gdbfpu by `source gdbfpu`", _INSTALL)
    if not Path(found.home).resolve().is_relative_to(_HOME):
        return trouble(f"`source gdbfpu` loads another gdbfpu, {found.home}", _INSTALL)
    if not found.loaded:
        return trouble(
            "`source gdbfpu` finds gdbfpu, which does not load", "gdb -ex 'source gdbfpu'"
        )
    return fine("`source gdbfpu` works in any directory")
