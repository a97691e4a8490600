# SPDX-License-Identifier: GPL-2.0-or-later
"""The GDB that sessions and tests run, and those of other Debian suites, kept in the cache.

Such a GDB is unpacked beside the system with its own libraries and its own Python, and nothing is
installed. It finds its Python and its data by the path that it is called by.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import tomllib

from qemu.cache import cache_root, publish
from qemu.debian import download, unpack
from qemu.errors import SetupError

__all__ = ("STRICT", "SUITES", "Versions", "gdb_program", "obtain", "versions_of")

SUITES = ("trixie", "forky", "sid")
"""Debian's suites after bookworm, oldest first."""

STRICT = {"PYTHONWARNINGS": "error,ignore::ImportWarning"}
"""For the environment of a GDB in a test: its Python takes a warning for an error.

Not for GDB 13's own, about the finder that keeps readline from being imported.
"""

# The loader's own option, for LD_LIBRARY_PATH would reach the programs that GDB runs.
_WRAPPER = """\
#!/bin/sh
bin=$(cd "${{0%/*}}" && pwd)
program=$bin/${{0##*/}}
libraries=${{bin%/bin}}/lib/x86_64-linux-gnu
exec "$libraries/ld-linux-x86-64.so.2" --argv0 "$program" --library-path "$libraries" \\
    "$program.elf" {options} "$@"
"""

# The programs that GDB runs are the system's, and so is what knows their threads.
_THREADS = "-iex 'add-auto-load-safe-path /usr/lib/x86_64-linux-gnu'"

# What the packages' maintainer scripts would do; without it each GDB compiles what it imports.
_COMPILE = """python
import compileall, os, sys
for folder in filter(os.path.isdir, sys.path):
    compileall.compile_dir(folder, quiet=2)
end
"""

_VERSIONS = 'python import sys; print(gdb.VERSION, "%d.%d.%d" % sys.version_info[:3])'
_GDB = Path("usr/bin/gdb")
_PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
_DEADLINE = 300.0  # seconds; compiling Python's library takes about twenty


@dataclass(frozen=True)
class Versions:
    """What a GDB says of itself."""

    gdb: str
    python: str


def gdb_program() -> str:
    """Return the GDB to run: the one that the environment variable GDB names, else the system's."""
    return os.environ.get("GDB") or "gdb"


def obtain(suite: str) -> Path:
    """Return the command that runs the GDB of Debian's `suite`, downloaded once.

    The Python in it has the packages that gdbfpu needs, of that suite too. Raises SetupError.
    """
    made_by = Path(__file__).read_bytes() + repr(_packages()).encode()
    name = f"{suite}-{hashlib.sha256(made_by).hexdigest()[:16]}"
    return publish(lambda into: _fill(suite, into), cache_root() / "gdbs" / name) / _GDB


def versions_of(program: Path | str) -> Versions:
    """Return the versions of a GDB and of the Python in it; raise SetupError."""
    return Versions(*_run(program, _VERSIONS).split())


def _packages() -> list[str]:
    """Return Debian's names of GDB and of what the project depends on."""
    dependencies = tomllib.loads(_PROJECT.read_text())["project"]["dependencies"]
    names = [re.match(r"[\w.-]+", each)[0].lower() for each in dependencies]
    return ["gdb", *(f"python3-{name}" for name in names)]


def _fill(suite: str, into: Path) -> None:
    debs = into / "debs"
    found = download(suite, _packages(), debs, closure=True)
    print(f"Debian {suite}: unpacking {len(found)} packages for GDB", flush=True)
    unpack(found, into)
    shutil.rmtree(debs)
    _wrap(into / _GDB, _THREADS)
    for python in into.glob("usr/bin/python3.*"):
        _wrap(python)
    script = into / "compile.gdb"
    script.write_text(_COMPILE)
    _run(into / _GDB, f"source {script}")
    script.unlink()


def _wrap(program: Path, options: str = "") -> None:
    """Put a script in the place of `program` that runs it with its own loader and libraries.

    `options`, as a shell reads them, come before those that the script is given.
    """
    if not program.is_file():
        raise SetupError(f"no {program.name} in {program.parent}")
    program.rename(program.with_name(f"{program.name}.elf"))
    program.write_text(_WRAPPER.format(options=options))
    program.chmod(0o755)


def _run(program: Path | str, command: str) -> str:
    """Return what GDB prints when it executes `command`; raise SetupError."""
    argv = [str(program), "-nx", "-batch", "-ex", command]
    try:
        process = subprocess.run(
            argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_DEADLINE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"{program} does not run: {error}") from error
    if process.returncode or process.stderr:
        lines = process.stderr.strip().splitlines() or [f"exit status {process.returncode}"]
        raise SetupError(f"{program} does not run: {lines[-1]}")
    return process.stdout
