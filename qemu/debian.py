# SPDX-License-Identifier: GPL-2.0-or-later
"""Get packages of any Debian suite, verified by apt, without changing this machine's own apt."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from qemu.cache import cache_root, lock
from qemu.errors import SetupError

__all__ = ("depends", "download", "unpack")

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def download(
    suite: str, packages: Sequence[str], into: Path, *, closure: bool = False
) -> list[Path]:
    """Download the .deb files of `packages` of Debian's `suite` into the directory `into`.

    With `closure` this also downloads all dependencies (not recommendations), as if nothing were
    installed. Returns the files that this call downloaded, sorted. apt checks the archive's
    signature against Debian's keyring. Raises SetupError.
    """
    into.mkdir(parents=True, exist_ok=True)
    with lock(f"apt-{suite}"), tempfile.TemporaryDirectory(dir=into) as private:
        options = _configuration(suite, Path(private))
        print(f"Debian {suite}: downloading {' '.join(packages)}", flush=True)
        _apt(options, "-qq", "update")
        _apt(options, *_verb(closure), *packages, cwd=Path(private) / "archives")
        found = sorted((Path(private) / "archives").glob("*.deb"))
        return [deb.rename(into / deb.name) for deb in found]


def depends(suite: str, package: str) -> list[str]:
    """Return the names of the packages that `package` of Debian's `suite` depends on.

    Raises SetupError.
    """
    with lock(f"apt-{suite}"), tempfile.TemporaryDirectory() as private:
        options = _configuration(suite, Path(private))
        _apt(options, "-qq", "update")
        listed = _run(["apt-cache", *options, "depends", "--no-recommends", package])
    words = [line.split() for line in listed.splitlines()]
    return [word[1] for word in words if word[0] == "Depends:"]


def unpack(debs: Sequence[Path], root: Path) -> None:
    """Unpack the files of `debs` below the directory `root`; no maintainer script runs."""
    root.mkdir(parents=True, exist_ok=True)
    for deb in debs:
        _run(["dpkg-deb", "-x", str(deb), str(root)])


def _verb(closure: bool) -> list[str]:
    if closure:
        return ["install", "--download-only", "--no-install-recommends", "--yes"]
    return ["download"]


def _configuration(suite: str, private: Path) -> list[str]:
    """Return the -o options that give apt its own sources, lists, status and archives."""
    if not _KEYRING.is_file():
        raise SetupError(f"{_KEYRING} is missing: install debian-archive-keyring")
    lists = cache_root() / "apt" / suite
    archives = private / "archives"
    for directory in (lists / "partial", archives / "partial"):
        directory.mkdir(parents=True, exist_ok=True)
    sources, status = private / "sources.list", private / "status"
    sources.write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {suite} main\n")
    status.write_text("")
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::Lists": lists,
        "Dir::State::status": status,
        "Dir::State::extended_states": private / "extended_states",
        "Dir::Cache": private,
        "Dir::Cache::archives": archives,
        "Acquire::Languages": "none",
        # Else a network that is down shows only later, as a package that cannot be located.
        "APT::Update::Error-Mode": "any",
        # The directories belong to the caller; apt's download user cannot enter them.
        "APT::Sandbox::User": "root",
        # Nothing is installed, so no lock of dpkg is needed, and an ordinary user may run this.
        "Debug::NoLocking": "true",
    }
    return [part for key, value in options.items() for part in ("-o", f"{key}={value}")]


def _mirror() -> str:
    """Return the URI of the Debian archive that this machine itself uses."""
    wanted = ["Origin: Debian", "Label: Debian", "Created-By: Packages"]
    found = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted]).split()
    if not found:
        raise SetupError("apt knows no Debian archive on this machine: run apt-get update, as root")
    return found[0]


def _apt(options: Sequence[str], *arguments: str, cwd: Path | None = None) -> None:
    quiet = [] if sys.stdout.isatty() else ["-q"]
    _run(["apt-get", *quiet, *options, *arguments], cwd=cwd, show=True)


def _run(argv: Sequence[str], *, cwd: Path | None = None, show: bool = False) -> str:
    """Run a command and return what it wrote, or `show` it instead; raise SetupError."""
    process = subprocess.run(
        argv,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=None if show else subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        text=True,
        check=False,
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"exit status {process.returncode}"]
        raise SetupError(f"{argv[0]} {argv[-1]}: {lines[-1]}")
    return process.stdout or ""
