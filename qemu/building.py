# SPDX-License-Identifier: GPL-2.0-or-later
"""Build a kernel of the catalogue from its source."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from qemu.cache import cache_root, fresh_log
from qemu.catalogue import Entry
from qemu.errors import SetupError
from qemu.progress import Progress, run_long
from qemu.sources import fetch, unpack_source
from qemu.tarball import stated_version

__all__ = ("MODULE", "build")

MODULE = "crc7"
"""The module that is built with each kernel, for a test to load; qemu/configs has it."""

# A kernel records when, where and by whom it was built. Fix these, so that a source always gives
# the same bytes.
_REPRODUCIBLE = {
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER": "gdbfpu",
    "KBUILD_BUILD_HOST": "gdbfpu",
    "KBUILD_BUILD_VERSION": "1",
    "LC_ALL": "C",
    # The options of this project's make are not for the kernel's.
    "MAKEFLAGS": "",
}
_KEPT = {
    "vmlinux": "vmlinux",
    "arch/x86/boot/bzImage": "bzImage",
    ".config": ".config",
    "System.map": "System.map",
    f"lib/{MODULE}.ko": f"{MODULE}.ko",
}


def build(entry: Entry, into: Path) -> None:
    """Fill `into` with the entry's vmlinux, bzImage, .config, System.map and module.

    Raises SetupError.

    If the build fails, its whole log stays in the cache, and the error names the file.
    """
    progress = Progress(entry.name)
    progress.done(f"Linux {entry.version or 'of Debian ' + entry.suite}: {_source(entry)}")
    tarball = fetch(entry, progress)
    tree = into / "tree"
    unpack_source(entry, tarball, tree, progress)
    _check_version(entry, tree)
    with fresh_log(f"{entry.key}.build") as log:
        _make(entry, tree, log, progress)
    for source, name in _KEPT.items():
        (tree / source).rename(into / name)
    shutil.rmtree(tree)
    if tarball.is_relative_to(cache_root()):
        shutil.rmtree(cache_root() / "sources" / tarball.relative_to(cache_root()).parts[1])
    progress.done("built")


def _source(entry: Entry) -> str:
    if entry.kind == "debian-source":
        return f"{entry.package} of Debian {entry.suite}"
    return f"{entry.url}, SHA-256 {entry.sha256}"


def _make(entry: Entry, tree: Path, log: Path, progress: Progress) -> None:
    """Configure the tree and build bzImage and the modules; raise SetupError."""
    make, environment = _invocation(entry, tree)

    def run(what: str, *goals: str, steps: int = 0) -> None:
        argv = [*make, *goals]
        run_long(argv, progress, what, steps=steps, cwd=tree, environment=environment, log=log)

    run("tinyconfig", "tinyconfig")
    with (tree / ".config").open("a") as config:
        config.write(entry.fragment)
    run("olddefconfig", "olddefconfig")
    _check_configuration(entry, tree)
    # Do not mix the output of recipes that run at the same time.
    jobs = (f"-j{os.cpu_count() or 1}", "--output-sync=target")
    run("building", *jobs, "bzImage", "modules", steps=entry.steps)


def _invocation(entry: Entry, tree: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs make, and the environment that it needs.

    LDFLAGS_vmlinux is in the environment. On make's command line it would override what every
    makefile of the tree sets, but arch/x86/boot/compressed links a vmlinux of its own and sets
    LDFLAGS_vmlinux for that. From the environment, the top Makefile adds to it and that other one
    replaces it.
    """
    # As part of the compiler's name, the flags reach even the parts that ignore KCFLAGS.
    compiler = " ".join(("gcc", *entry.flags))
    tools = entry.make or (f"CC={compiler}", f"HOSTCC={compiler}")
    unmapped = f"-ffile-prefix-map={tree}=/usr/src/linux"
    command = ["make", "ARCH=x86_64", *tools, f"KCFLAGS={unmapped}", f"KAFLAGS={unmapped}"]
    return command, {**_REPRODUCIBLE, "LDFLAGS_vmlinux": " ".join(entry.ldflags)}


def _check_configuration(entry: Entry, tree: Path) -> None:
    """Raise SetupError if the configuration lacks some of the entry's fragment."""
    wanted, got = _symbols(entry.fragment), _symbols((tree / ".config").read_text())
    if lost := sorted(name for name in wanted if got.get(name, "n") != wanted[name]):
        raise SetupError(f"{entry.name}: this Linux drops {', '.join(lost)} from its configuration")


def _check_version(entry: Entry, tree: Path) -> None:
    """Raise SetupError if the source's Makefile has another version than the entry."""
    with (tree / "Makefile").open(encoding="latin-1") as makefile:
        found = stated_version(makefile)
    if entry.version and found != entry.release:
        raise SetupError(f"{entry.name}: the source is Linux {found}, not {entry.release}")


def _symbols(config: str) -> dict[str, str]:
    """Return the symbols of a configuration; one that is not set has the value n."""
    symbols = {}
    for line in config.splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line.partition("=")
            symbols[name] = value
        elif line.startswith("# CONFIG_") and line.endswith(" is not set"):
            symbols[line.split()[1]] = "n"
    return symbols
