# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels out of Debian's packages: which packages, and which files of them are kept."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qemu import prebuilt
from qemu.catalogue import Entry
from qemu.errors import SetupError

_META = "linux-image-cloud-amd64"
_CLASSIC = {
    _META: ["linux-image-6.1.0-9-cloud-amd64"],
    f"{_META}-dbg": ["linux-image-6.1.0-9-cloud-amd64-dbg"],
    "linux-image-6.1.0-9-cloud-amd64": ["kmod", "linux-base"],
}
_SPLIT = {
    _META: ["linux-base-cloud-amd64", "linux-image-7.2-cloud-amd64"],
    f"{_META}-dbg": ["linux-base-cloud-amd64", "linux-image-7.2-cloud-amd64-dbg"],
    "linux-image-7.2-cloud-amd64": ["linux-modules-7.2", "linux-binary-7.2-cloud-amd64"],
}
_CLASSIC_FILES = {
    "linux-image-6.1.0-9-cloud-amd64": {"boot/vmlinuz-6.1.0-9": "bz", "boot/config-6.1.0-9": "c"},
    "linux-image-6.1.0-9-cloud-amd64-dbg": {
        "usr/lib/debug/boot/vmlinux-6.1.0-9": "elf",
        "usr/lib/debug/lib/modules/6.1.0-9/vmlinux-gdb.py": "script",
        "usr/lib/debug/lib/modules/6.1.0-9/kernel/a.ko": "module",
    },
}
_SPLIT_FILES = {
    "linux-binary-7.2-cloud-amd64": {"usr/lib/modules/7.2/vmlinuz": "bz"},
    "linux-image-7.2-cloud-amd64-dbg": {"usr/lib/debug/boot/vmlinux-7.2": "elf"},
}


def _deb(folder: Path, name: str, files: dict[str, str]) -> Path:
    root = folder / f"{name}.d"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: A <a@b>\nDescription: t\n"
    )
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    deb = folder / f"{name}_1_amd64.deb"
    argv = ["dpkg-deb", "--root-owner-group", "-b", str(root), str(deb)]
    subprocess.run(argv, check=True, capture_output=True)
    return deb


@pytest.fixture
def archive(monkeypatch) -> Callable[..., None]:
    """A function that puts packages and what they depend on in the place of Debian's."""

    def put(depends: dict[str, list[str]], files: dict[str, dict[str, str]]) -> None:
        def download(suite: str, packages: list[str], into: Path) -> list[Path]:
            assert suite == "a-suite"
            into.mkdir()
            return [_deb(into, name, files[name]) for name in packages]

        monkeypatch.setattr(prebuilt, "depends", lambda suite, package: depends[package])
        monkeypatch.setattr(prebuilt, "download", download)

    return put


def _extract(into: Path) -> dict[str, str]:
    into.mkdir()
    entry = Entry("debian-x", "", "debian-image", ("qemu",), into, suite="a-suite", package=_META)
    prebuilt.extract(entry, into)
    return {str(path.relative_to(into)): path.read_text() for path in into.rglob("*")}


@pytest.mark.parametrize(("depends", "files"), [(_CLASSIC, _CLASSIC_FILES), (_SPLIT, _SPLIT_FILES)])
def test_only_the_kernel_and_its_symbols_are_kept(tmp_path, archive, depends, files):
    archive(depends, files)
    assert _extract(tmp_path / "into") == {"bzImage": "bz", "vmlinux": "elf"}


def test_meta_package_without_a_kernel_is_refused(tmp_path, archive):
    archive({**_CLASSIC, _META: ["linux-base"]}, _CLASSIC_FILES)
    with pytest.raises(SetupError, match=f"debian-x: {_META} depends on 0 kernels, not one"):
        _extract(tmp_path / "into")


def test_package_with_two_kernels_is_refused(tmp_path, archive):
    name = "linux-image-6.1.0-9-cloud-amd64"
    more = {**_CLASSIC_FILES[name], "boot/vmlinuz-6.1.0-8": "bz"}
    archive(_CLASSIC, {**_CLASSIC_FILES, name: more})
    with pytest.raises(SetupError, match=r"_1_amd64\.deb holds 2 files vmlinuz, not one"):
        _extract(tmp_path / "into")


def test_package_without_a_kernel_is_refused(tmp_path, archive):
    name = "linux-image-6.1.0-9-cloud-amd64-dbg"
    archive(_CLASSIC, {**_CLASSIC_FILES, name: {"usr/share/doc/a": "text"}})
    with pytest.raises(SetupError, match=r"unpacking .*-dbg_1_amd64\.deb failed"):
        _extract(tmp_path / "into")
