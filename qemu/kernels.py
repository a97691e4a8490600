# SPDX-License-Identifier: GPL-2.0-or-later
"""Obtain the kernels of the catalogue: `python -m qemu.kernels [NAME]`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from qemu.building import build
from qemu.cache import cache_root, publish
from qemu.catalogue import Entry, load
from qemu.errors import HarnessError, SetupError
from qemu.given import given_pair, release_of
from qemu.prebuilt import extract
from qemu.tarball import given_source

__all__ = ("Kernel", "cached", "main", "obtain", "obtain_entry")


@dataclass(frozen=True)
class Kernel:
    """A kernel on this machine: what GDB reads, what QEMU boots, and its release (uname -r)."""

    name: str
    vmlinux: Path
    bzimage: Path
    version: str


def obtain(name: str) -> Kernel:
    """Return the kernel `name`: the one that the user gave for it, else the catalogue's.

    Raises SetupError.
    """
    if pair := given_pair(name):
        return Kernel(name, *pair, release_of(pair[1]))
    entries = load()
    if name not in entries:
        raise SetupError(
            f"no kernel is called {name!r}; the catalogue has {', '.join(sorted(entries))}"
        )
    return obtain_entry(entries[name])


def obtain_entry(entry: Entry) -> Kernel:
    """Return the kernel of a catalogue entry, building or fetching it if it is not in the cache.

    Raises SetupError.
    """
    entry = given_source(entry)
    make = extract if entry.kind == "debian-image" else build
    final = publish(lambda into: make(entry, into), cached(entry))
    bzimage = final / "bzImage"
    return Kernel(entry.name, final / "vmlinux", bzimage, release_of(bzimage))


def cached(entry: Entry) -> Path:
    """Return the directory for the entry's kernel, which may not exist yet; raise SetupError."""
    return cache_root() / "kernels" / given_source(entry).key


def main(argv: list[str] | None = None) -> int:
    """List the catalogue, or obtain one kernel and print where it is."""
    parser = argparse.ArgumentParser(prog="python -m qemu.kernels", description=main.__doc__)
    parser.add_argument("name", nargs="?", help="the kernel to obtain; none: list the catalogue")
    name = parser.parse_args(argv).name
    try:
        if name is None:
            for entry in load().values():
                state = "cached" if cached(entry).is_dir() else "not cached"
                print(f"{entry.name:12} {state:10} {entry.about}")
        else:
            print(obtain(name).vmlinux)
    except HarnessError as error:
        print(f"qemu.kernels: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
