# SPDX-License-Identifier: GPL-2.0-or-later
"""Build a kernel of the catalogue from its source."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from qemu.cache import cache_root
from qemu.catalogue import Entry
from qemu.errors import SetupError
from qemu.progress import Progress, run_long
from qemu.sources import fetch, unpack_source

__all__ = ("build",)

# A kernel says when, where and by whom it was built; the same source gives the same bytes.
_REPRODUCIBLE = {
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER": "gdbfpu",
    "KBUILD_BUILD_HOST": "gdbfpu",
    "KBUILD_BUILD_VERSION": "1",
    "LC_ALL": "C",
}
_KEPT = {
    "vmlinux": "vmlinux",
    "arch/x86/boot/bzImage": "bzImage",
    ".config": ".config",
    "System.map": "System.map",
}


def build(entry: Entry, into: Path) -> None:
    """Fill `into` with the entry's vmlinux, bzImage, .config and System.map; raise SetupError."""
    progress = Progress(entry.name)
    tarball = fetch(entry, progress)
    tree = into / "tree"
    unpack_source(tarball, tree, progress)
    make = _make(entry, tree)
    _configure(entry, tree, make, progress)
    run_long(
        [*make, f"-j{os.cpu_count() or 1}", "bzImage"],
        progress,
        "building",
        steps=entry.steps,
        cwd=tree,
        environment=_REPRODUCIBLE,
    )
    for source, name in _KEPT.items():
        (tree / source).rename(into / name)
    shutil.rmtree(tree)
    if tarball.is_relative_to(cache_root()):
        shutil.rmtree(cache_root() / "sources" / tarball.relative_to(cache_root()).parts[1])
    progress.done("built")


def _make(entry: Entry, tree: Path) -> list[str]:
    # With the compiler's name they reach the parts of the tree that ignore KCFLAGS, too.
    compiler = " ".join(("gcc", *entry.flags))
    unmapped = f"-ffile-prefix-map={tree}=/usr/src/linux"
    return [
        "make",
        "ARCH=x86_64",
        f"CC={compiler}",
        f"HOSTCC={compiler}",
        f"KCFLAGS={unmapped}",
        f"KAFLAGS={unmapped}",
        *([f"LDFLAGS_vmlinux={' '.join(entry.ldflags)}"] if entry.ldflags else []),
    ]


def _configure(entry: Entry, tree: Path, make: list[str], progress: Progress) -> None:
    """Write tinyconfig with the entry's fragment on top; raise SetupError if some of it is lost."""
    _check_version(entry, tree)
    for goal in ("tinyconfig", "olddefconfig"):
        run_long([*make, goal], progress, goal, cwd=tree, environment=_REPRODUCIBLE)
        if goal == "tinyconfig":
            with (tree / ".config").open("a") as config:
                config.write(entry.fragment)
    wanted, got = _symbols(entry.fragment), _symbols((tree / ".config").read_text())
    if lost := sorted(name for name in wanted if got.get(name, "n") != wanted[name]):
        raise SetupError(f"{entry.name}: this Linux does not take {', '.join(lost)}")


def _check_version(entry: Entry, tree: Path) -> None:
    """Compare the version that the source's Makefile states with the catalogue's, if it has one."""
    if not entry.version:
        return
    stated: dict[str, str] = {}
    for line in (tree / "Makefile").read_text().splitlines():
        name, separator, value = line.partition("=")
        if separator:
            stated.setdefault(name.strip(), value.strip())
    found = ".".join(stated.get(name, "") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    if found != entry.release:
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
