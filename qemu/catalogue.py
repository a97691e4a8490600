# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the catalogue of kernels, which is catalogue.toml."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import tomllib

from qemu.errors import SetupError

__all__ = ("CATALOGUE", "Entry", "load")

CATALOGUE = Path(__file__).with_name("catalogue.toml")

_NEEDED = {
    "debian-image": ("suite", "package"),
    "debian-source": ("suite", "package", "config"),
    "tarball": ("version", "directory", "file", "sha256", "config"),
}
_STUBS = ("kgdb", "qemu")


@dataclass(frozen=True)
class Entry:
    """One kernel and how it is obtained; the fields are described in catalogue.toml.

    `given` is true if the user gave the source.
    """

    name: str
    about: str
    kind: str
    stubs: tuple[str, ...]
    configs: Path
    cpus: tuple[str, ...] = ("max",)
    lazy: str = ""
    smp: int = 2
    kaslr: bool = False
    make: tuple[str, ...] = ()
    version: str = ""
    config: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()
    steps: int = 0
    suite: str = ""
    package: str = ""
    directory: str = ""
    file: str = ""
    sha256: str = ""
    given: bool = False

    @property
    def fragment(self) -> str:
        """Return the configuration that goes on top of tinyconfig; raise SetupError."""
        paths = [self.configs / name for name in self.config]
        if missing := [path for path in paths if not path.is_file()]:
            raise SetupError(f"{self.name}: there is no configuration {missing[0]}")
        return "".join(path.read_text() for path in paths)

    @property
    def release(self) -> str:
        """Return the upstream version: Debian's 5.10.223-1 is Linux 5.10.223."""
        return self.version.partition("-")[0]

    @property
    def url(self) -> str:
        """Return where a tarball comes from: a URL or a path."""
        return f"{self.directory.rstrip('/')}/{self.file}"

    @property
    def key(self) -> str:
        """Return the cache's name for what this entry builds; raise SetupError."""
        given = (*self.flags, *self.ldflags, *self.make)
        source = (self.kind, self.suite, self.package, self.sha256, *given)
        digest = hashlib.sha256(repr(source).encode() + self.fragment.encode()).hexdigest()[:16]
        return "_".join(part for part in (self.name, self.version, digest) if part)


def load(path: Path = CATALOGUE) -> dict[str, Entry]:
    """Return the entries of the catalogue at `path` by name; raise SetupError."""
    try:
        tables = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{path}: {error}") from error
    return {name: _entry(name, table, path) for name, table in tables.items()}


def _entry(name: str, table: dict[str, object], path: Path) -> Entry:
    known = {field.name for field in fields(Entry)} - {"name", "configs", "given"}
    kind = str(table.get("kind", ""))
    if kind not in _NEEDED:
        raise SetupError(f"{path}: {name}: kind is {kind!r}, not one of {', '.join(_NEEDED)}")
    if unknown := table.keys() - known:
        raise SetupError(f"{path}: {name}: unknown key {', '.join(sorted(unknown))}")
    needed = ("about", "stubs", *_NEEDED[kind])
    if missing := [key for key in needed if key not in table]:
        raise SetupError(f"{path}: {name}: missing key {', '.join(missing)}")
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    entry = Entry(name=name, configs=path.with_name("configs"), **values)  # type: ignore[arg-type]
    if unknown := set(entry.stubs) - set(_STUBS):
        raise SetupError(f"{path}: {name}: no stub is called {', '.join(sorted(unknown))}")
    if entry.lazy and entry.lazy not in entry.cpus:
        raise SetupError(f"{path}: {name}: lazy is {entry.lazy}, which is not one of its cpus")
    return entry
