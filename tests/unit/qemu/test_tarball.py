# SPDX-License-Identifier: GPL-2.0-or-later
"""KERNEL_TARBALL: the catalogue's release, another of its series, and what is neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from kernel_tree import MAKEFILE, entry_for, tarball

from qemu import kernels
from qemu.errors import GivenError
from qemu.tarball import digest_of, stated_version


@pytest.fixture
def given(monkeypatch, tmp_path):
    """A function that gives a file by hand, under a name that says nothing of it."""

    def give(path: Path) -> Path:
        here = path.rename(tmp_path / "given")
        monkeypatch.setenv("KERNEL_TARBALL", str(here))
        return here

    return give


def _refused(entry, cache) -> str:
    """The one line with which a source is refused; the cache has no kernel and no part of one."""
    with pytest.raises(GivenError) as error:
        kernels.obtain_entry(entry)
    assert "\n" not in str(error.value)
    left = [path for name in ("kernels", "sources", "logs") for path in (cache / name).glob("*")]
    assert left == []
    return str(error.value)


def test_release_of_the_catalogue_is_known_by_its_checksum(entry, given):
    given(Path(entry.directory, entry.file))
    kernel = kernels.obtain_entry(entry)
    assert kernel.vmlinux.parent.name == entry.key


@pytest.mark.parametrize("suffix", ["xz", "gz", "bz2"])
def test_another_of_the_series_is_cached_under_its_version_and_checksum(
    entry, given, tmp_path, capsys, suffix
):
    path = given(tarball(tmp_path / "other", version="9.8.60", suffix=suffix))
    kernel = kernels.obtain_entry(entry)
    said = capsys.readouterr().out
    assert f"tiny: Linux 9.8.60: {path}, SHA-256 {digest_of(path)}\n" in said
    assert kernel.vmlinux.parent.name.startswith("tiny_9.8.60_")
    assert kernel.vmlinux.parent == kernels.cached(entry)
    path.write_bytes(tarball(tmp_path / "more", MAKEFILE + "# more\n", "9.8.60").read_bytes())
    another = kernels.obtain_entry(entry)
    assert another.vmlinux.parent.name.startswith("tiny_9.8.60_")
    assert another.vmlinux != kernel.vmlinux


def test_another_series_is_refused(entry, given, cache, tmp_path):
    path = given(tarball(tmp_path / "other", version="9.9.7"))
    wanted = f"KERNEL_TARBALL: {path} is Linux 9.9.7, not 9.8.y"
    assert _refused(entry, cache) == wanted


def test_series_is_compared_as_a_whole(entry, given, cache, tmp_path):
    given(tarball(tmp_path / "other", version="9.80.7"))
    assert _refused(entry, cache).endswith("is Linux 9.80.7, not 9.8.y")


@pytest.mark.parametrize("content", [b"", b"no tarball", bytes(10240), b"\xfd7zXZ\0" + bytes(99)])
def test_what_is_no_tarball_is_refused(entry, given, cache, tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    path = given(tmp_path / "file")
    assert _refused(entry, cache).startswith(f"KERNEL_TARBALL: {path} is not a ")


@pytest.mark.parametrize("suffix", ["xz", "gz", "bz2"])
def test_tarball_that_is_cut_is_refused(entry, given, cache, tmp_path, suffix):
    whole = tarball(tmp_path / "other", MAKEFILE + _noise(), "9.8.60", suffix=suffix).read_bytes()
    for length in (len(whole) // 20, len(whole) // 2, len(whole) - 9):
        (tmp_path / "cut").write_bytes(whole[:length])
        path = given(tmp_path / "cut")
        assert str(path) in _refused(entry, cache)


def _noise() -> str:
    """Lines that no compression makes short, so that a cut can be before them and after."""
    return "".join(f"# {digest_of(Path(__file__))[i % 60 :]}{hash(str(i))}\n" for i in range(20000))


@pytest.mark.parametrize("lacking", ["Makefile", "Kconfig", "arch/x86/Makefile"])
def test_source_that_lacks_a_part_is_refused(entry, given, cache, tmp_path, lacking):
    path = given(tarball(tmp_path / "other", version="9.8.60", lacking=lacking))
    said = _refused(entry, cache)
    assert str(path) in said and lacking in said


def test_directory_or_nothing_is_refused(entry, cache, tmp_path, monkeypatch):
    for path in (tmp_path, tmp_path / "absent"):
        monkeypatch.setenv("KERNEL_TARBALL", str(path))
        assert _refused(entry, cache) == f"KERNEL_TARBALL: there is no file {path}"


def test_kernel_of_debian_has_no_use_for_it(entry, tmp_path, monkeypatch):
    monkeypatch.setenv("KERNEL_TARBALL", str(tmp_path / "absent"))
    assert kernels.cached(entry_for(Path(entry.directory, entry.file), entry.configs, given=True))


@pytest.mark.parametrize(
    ("lines", "version"),
    [
        (["VERSION = 4", "PATCHLEVEL = 4", "SUBLEVEL = 60", "EXTRAVERSION ="], "4.4.60"),
        (["# VERSION = 1", "VERSION=4", "PATCHLEVEL=4", "SUBLEVEL=0", "VERSION = 9"], "4.4.0"),
        (["VERSION = 4", "PATCHLEVEL = 4"], ""),
        (["VERSION = ../x", "PATCHLEVEL = 4", "SUBLEVEL = 60"], ""),
        ([], ""),
    ],
)
def test_version_that_a_makefile_states(lines, version):
    assert stated_version(lines) == version
