# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's packages: what is refused, and that the machine's own apt is not involved.

That packages come is shown by the kernel and the guest of tests/vm, which are made of them.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from qemu import debian
from qemu.errors import SetupError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def package(tmp_path) -> Path:
    """A package that installs one file."""
    root = tmp_path / "package"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b>\nDescription: t\n"
    )
    (root / "DEBIAN" / "postinst").write_text("#!/bin/sh\ntouch /tiny-was-configured\n")
    (root / "DEBIAN" / "postinst").chmod(0o755)
    (root / "usr").mkdir()
    (root / "usr" / "tiny").write_text("content")
    deb = tmp_path / "tiny_1_all.deb"
    argv = ["dpkg-deb", "--root-owner-group", "-b", str(root), str(deb)]
    subprocess.run(argv, check=True, capture_output=True)
    return deb


@pytest.fixture
def unsigned(tmp_path, package, monkeypatch) -> Path:
    """An archive like Debian's, whose suite `good` nobody signed, in place of the mirror."""
    archive = tmp_path / "archive"
    index = archive / "dists" / "good" / "main" / "binary-amd64"
    index.mkdir(parents=True)
    (index / "Packages").write_text(
        "Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b>\nDescription: t\n"
        f"Filename: tiny_1_all.deb\nSize: {package.stat().st_size}\n\n"
    )
    (archive / "dists" / "good" / "Release").write_text("Suite: good\nComponents: main\n")
    package.rename(archive / package.name)
    monkeypatch.setattr(debian, "_mirror", lambda: f"file:{archive}/")
    return archive


def test_unpack_runs_no_maintainer_script(tmp_path, package):
    debian.unpack([package], tmp_path / "root")
    assert (tmp_path / "root" / "usr" / "tiny").read_text() == "content"
    assert not Path("/tiny-was-configured").exists()


def test_unpack_refuses_what_is_no_package(tmp_path):
    cut = tmp_path / "cut.deb"
    cut.write_bytes(b"!<arch>\n")
    with pytest.raises(SetupError, match="dpkg-deb"):
        debian.unpack([cut], tmp_path / "root")


def test_unsigned_archive_is_refused(tmp_path, unsigned):
    with pytest.raises(SetupError, match="not signed"):
        debian.download("good", ["tiny"], tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_suite_that_is_not_there_is_refused(tmp_path, unsigned):
    with pytest.raises(SetupError, match="apt-get update"):
        debian.download("bad", ["tiny"], tmp_path / "into")


def test_machine_without_a_debian_archive_is_told_what_to_do(tmp_path, monkeypatch):
    fake = tmp_path / "apt-get"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="run apt-get update"):
        debian.download("good", ["tiny"], tmp_path / "into")


def test_missing_keyring_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(debian, "_KEYRING", tmp_path / "keyring.gpg")
    with pytest.raises(SetupError, match="install debian-archive-keyring"):
        debian.download("good", ["tiny"], tmp_path / "into")


def test_apt_is_given_directories_of_its_own(tmp_path, unsigned):
    options = debian._configuration("good", tmp_path)
    argv = ["apt-config", *options, "dump"]
    dump = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    used = dict(line.rstrip(";").split(" ", 1) for line in dump.splitlines() if "Dir::" in line)
    for key in ("Dir::Etc::sourcelist", "Dir::State::lists", "Dir::State::status", "Dir::Cache"):
        assert str(tmp_path) in used[key]
    assert used["Dir::Etc::sourceparts"] == '"/dev/null"'
    sources = (tmp_path / "sources.list").read_text()
    assert "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" in sources


def test_archive_that_does_not_answer_is_told_as_that(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # nobody listens there when it is closed
    monkeypatch.setattr(debian, "_mirror", lambda: f"http://127.0.0.1:{port}/debian/")
    with pytest.raises(SetupError, match=r"apt-get update: .*failed to download"):
        debian.download("good", ["tiny"], tmp_path / "into")
