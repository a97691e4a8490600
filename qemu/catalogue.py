# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue of kernels, kept as data in catalogue.toml."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import tomllib

from qemu.errors import SetupError

__all__ = ("CATALOGUE", "Entry", "load")

CATALOGUE = Path(__file__).with_name("catalogue.toml")

_NEEDED = {
    "debian-source": ("suite", "package"),
    "tarball": ("directory", "file", "sha256"),
}


@dataclass(frozen=True)
class Entry:
    """One kernel and how it is obtained; the fields are described in catalogue.toml."""

    name: str
    about: str
    kind: str
    version: str
    config: str
    configs: Path
    flags: tuple[str, ...] = ()
    steps: int = 0
    suite: str = ""
    package: str = ""
    directory: str = ""
    file: str = ""
    sha256: str = ""

    @property
    def fragment(self) -> Path:
        """Return the configuration that goes on top of tinyconfig."""
        return self.configs / self.config

    @property
    def release(self) -> str:
        """Return the upstream version: Debian's 5.10.223-1 is Linux 5.10.223."""
        return self.version.partition("-")[0]

    @property
    def key(self) -> str:
        """Return the cache's name for what this entry builds; raise SetupError."""
        if not self.fragment.is_file():
            raise SetupError(f"{self.name}: no configuration {self.fragment}")
        source = (self.kind, self.suite, self.package, self.sha256, *self.flags)
        digest = hashlib.sha256(repr(source).encode() + self.fragment.read_bytes())
        return f"{self.name}_{self.version}_{digest.hexdigest()[:16]}"


def load(path: Path = CATALOGUE) -> dict[str, Entry]:
    """Return the entries of the catalogue at `path` by name; raise SetupError."""
    try:
        tables = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{path}: {error}") from error
    return {name: _entry(name, table, path) for name, table in tables.items()}


def _entry(name: str, table: dict[str, object], path: Path) -> Entry:
    known = {field.name for field in fields(Entry)} - {"name", "configs"}
    kind = str(table.get("kind", ""))
    if kind not in _NEEDED:
        raise SetupError(f"{path}: {name}: kind is {kind!r}, not one of {', '.join(_NEEDED)}")
    if unknown := table.keys() - known:
        raise SetupError(f"{path}: {name}: unknown key {', '.join(sorted(unknown))}")
    needed = ("about", "version", "config", *_NEEDED[kind])
    if missing := [key for key in needed if key not in table]:
        raise SetupError(f"{path}: {name}: missing key {', '.join(missing)}")
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    return Entry(name=name, configs=path.with_name("configs"), **values)  # type: ignore[arg-type]
