# SPDX-License-Identifier: GPL-2.0-or-later
"""Obtain the kernels of the catalogue: `python -m qemu.kernels [NAME]`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from qemu.cache import cache_root, publish
from qemu.catalogue import Entry, load
from qemu.errors import HarnessError, SetupError
from qemu.progress import Progress, run_long
from qemu.sources import fetch, unpack_source

__all__ = ("Kernel", "main", "obtain", "obtain_entry")

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


@dataclass(frozen=True)
class Kernel:
    """A kernel on this machine: what GDB reads, what QEMU boots, and its release."""

    name: str
    vmlinux: Path
    bzimage: Path
    version: str


def obtain(name: str) -> Kernel:
    """Return the catalogue's kernel `name`, building it when the cache has none.

    Raises SetupError.
    """
    entries = load()
    if name not in entries:
        raise SetupError(f"no kernel {name!r}; the catalogue has {', '.join(sorted(entries))}")
    return obtain_entry(entries[name])


def obtain_entry(entry: Entry) -> Kernel:
    """Return the kernel of a catalogue entry, building it when the cache has none.

    Raises SetupError.
    """
    final = publish(lambda into: _build(entry, into), cached(entry))
    return Kernel(entry.name, final / "vmlinux", final / "bzImage", entry.release)


def cached(entry: Entry) -> Path:
    """Return the directory that holds the entry's kernel once it is built."""
    return cache_root() / "kernels" / entry.key


def _build(entry: Entry, into: Path) -> None:
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
    progress.done(f"built Linux {entry.release}")


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
    ]


def _configure(entry: Entry, tree: Path, make: list[str], progress: Progress) -> None:
    """Write tinyconfig with the entry's fragment on top; raise SetupError if some of it is lost."""
    _check_version(entry, tree)
    for goal in ("tinyconfig", "olddefconfig"):
        run_long([*make, goal], progress, goal, cwd=tree, environment=_REPRODUCIBLE)
        if goal == "tinyconfig":
            with (tree / ".config").open("a") as config:
                config.write(entry.fragment.read_text())
    wanted, got = _symbols(entry.fragment), _symbols(tree / ".config")
    if lost := sorted(name for name in wanted if got.get(name, "n") != wanted[name]):
        raise SetupError(f"{entry.name}: Linux {entry.release} does not take {', '.join(lost)}")


def _check_version(entry: Entry, tree: Path) -> None:
    """Compare the version that the source's Makefile states with the catalogue's."""
    stated: dict[str, str] = {}
    for line in (tree / "Makefile").read_text().splitlines():
        name, separator, value = line.partition("=")
        if separator:
            stated.setdefault(name.strip(), value.strip())
    found = ".".join(stated.get(name, "") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    if found != entry.release:
        raise SetupError(f"{entry.name}: the source is Linux {found}, not {entry.release}")


def _symbols(config: Path) -> dict[str, str]:
    """Return the symbols of a configuration; one that is not set has the value n."""
    symbols = {}
    for line in config.read_text().splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line.partition("=")
            symbols[name] = value
        elif line.startswith("# CONFIG_") and line.endswith(" is not set"):
            symbols[line.split()[1]] = "n"
    return symbols


def main(argv: list[str] | None = None) -> int:
    """List the catalogue, or obtain one kernel and print where it is."""
    parser = argparse.ArgumentParser(prog="python -m qemu.kernels", description=main.__doc__)
    parser.add_argument("name", nargs="?", help="the kernel to obtain; none: list the catalogue")
    name = parser.parse_args(argv).name
    try:
        if name is None:
            for entry in load().values():
                state = "built" if cached(entry).is_dir() else "not built"
                print(f"{entry.name:12} {state:10} {entry.about}")
        else:
            print(obtain(name).vmlinux)
    except HarnessError as error:
        print(f"qemu.kernels: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
