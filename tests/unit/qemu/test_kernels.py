# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel catalogue and its builder, on a source tree that builds in a blink."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from kernel_tree import FAILING, MAKEFILE, entry_for, tarball, url

from qemu import catalogue, kernels
from qemu.catalogue import Entry
from qemu.errors import SetupError
from qemu.given import release_of
from qemu.progress import failure_lines

_ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("cache")


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _fragment(entry: Entry, text: str) -> None:
    (entry.configs / entry.config[0]).write_text(text)


def test_local_tarball_is_built_and_only_the_result_kept(entry, cache):
    kernel = kernels.obtain_entry(entry)
    assert (kernel.name, kernel.version) == ("tiny", "9.8.7")
    assert kernel.bzimage.read_bytes()[514:518] == b"HdrS"
    kept = {path.name for path in kernel.vmlinux.parent.iterdir()}
    assert kept == {"vmlinux", "bzImage", ".config", "System.map", "crc7.ko"}
    config = (kernel.vmlinux.parent / ".config").read_text()
    assert config.endswith("CONFIG_TTY=y\nCONFIG_A=0x1\n")
    assert [path.name for path in (cache / "kernels").iterdir()] == [kernel.vmlinux.parent.name]
    assert Path(entry.directory, entry.file).is_file()


def test_build_is_told_flags_and_a_fixed_time_and_place(entry):
    compiler, _, flags, when, host, _ = kernels.obtain_entry(entry).vmlinux.read_text().split("|")
    assert compiler == "gcc -fno-pie -fcommon"
    assert flags.endswith("=/usr/src/linux")
    assert (when, host) == ("Thu Jan  1 00:00:00 UTC 1970\n", "gdbfpu\n")


def test_entry_may_name_other_tools(entry):
    other = replace(entry, make=("CC=gcc -DOTHER",))
    compiler, *_ = kernels.obtain_entry(other).vmlinux.read_text().split("|")
    assert compiler == "gcc -DOTHER"
    assert other.key != entry.key


@pytest.mark.parametrize("flags", ["", " -- LDFLAGS_vmlinux=--from-outside"])
def test_link_flags_reach_vmlinux_and_not_the_decompressor(entry, monkeypatch, flags):
    """On make's command line they would override what either makefile sets."""
    monkeypatch.setenv("MAKEFLAGS", flags)
    _, link, *_, decompressor = kernels.obtain_entry(entry).vmlinux.read_text().split("|")
    assert link == "-z max-page-size=4096 --own"
    assert decompressor == "decompressor: -T\n"


def test_link_flags_of_the_person_are_not_the_kernel_s(entry, monkeypatch):
    monkeypatch.setenv("LDFLAGS_vmlinux", "--from-outside")
    _, link, *_ = kernels.obtain_entry(replace(entry, ldflags=())).vmlinux.read_text().split("|")
    assert link == "--own"


def test_fragments_add_up(entry):
    (entry.configs / "more.config").write_text("CONFIG_MORE=y\n")
    kernel = kernels.obtain_entry(replace(entry, config=("c.config", "more.config")))
    config = (kernel.vmlinux.parent / ".config").read_text()
    assert config.endswith("CONFIG_TTY=y\nCONFIG_A=0x1\nCONFIG_MORE=y\n")
    with pytest.raises(SetupError, match=r"no configuration .*absent\.config"):
        kernels.obtain_entry(replace(entry, config=("c.config", "absent.config")))


def test_second_time_comes_from_the_cache(entry):
    first = kernels.obtain_entry(entry)
    Path(entry.directory, entry.file).unlink()
    assert kernels.obtain_entry(entry) == first


def test_configuration_flags_and_source_each_make_another_kernel(entry):
    keys = {entry.key, replace(entry, flags=()).key, replace(entry, sha256="0" * 64).key}
    keys.add(replace(entry, ldflags=()).key)
    _fragment(entry, "CONFIG_TTY=n\n")
    keys.add(entry.key)
    assert len(keys) == 5
    assert replace(entry, about="other words").key == entry.key


def test_symbol_that_does_not_survive_is_named(entry, cache):
    _fragment(entry, "CONFIG_TTY=y\nCONFIG_UNKNOWN=y\nCONFIG_UNKNOWN_TOO=m\n")
    with pytest.raises(
        SetupError, match=r"drops CONFIG_UNKNOWN, CONFIG_UNKNOWN_TOO from its configuration$"
    ):
        kernels.obtain_entry(entry)
    assert list((cache / "kernels").iterdir()) == []


def test_symbol_that_comes_back_is_named(entry):
    _fragment(entry, "# CONFIG_TTY is not set\n# CONFIG_ABSENT is not set\n")
    assert kernels.obtain_entry(entry).version == "9.8.7"
    _fragment(entry, "# CONFIG_TTY is not set\nCONFIG_TTY=y\n# CONFIG_B is not set\n")
    assert kernels.obtain_entry(entry).version == "9.8.7"
    _fragment(entry, "CONFIG_TTY=y\n# CONFIG_TTY is not set\nCONFIG_UNKNOWN=y\n")
    with pytest.raises(SetupError, match=r"drops CONFIG_UNKNOWN from its configuration$"):
        kernels.obtain_entry(entry)


def test_failed_build_shows_the_error_and_names_the_log(entry, tmp_path, cache, capfd):
    broken = entry_for(tarball(tmp_path / "broken", MAKEFILE + FAILING), entry.configs)
    with pytest.raises(SetupError) as error:
        kernels.obtain_entry(broken)
    (log,) = (cache / "logs").iterdir()
    assert str(error.value) == f"tiny: building failed; the whole log is {log}"
    shown = capfd.readouterr().out.partition("building failed:\n")[2].splitlines()
    assert shown[:2] == ["bad.c:1: error: no", "bad.c:2: warning: yes"]
    assert re.fullmatch(r"make(\[1\])?: \*\*\* \[Makefile:\d+: bad\.o\] Error 1", shown[2])
    assert not shown[3:]
    whole = log.read_text().splitlines()
    assert {"good.c:200: warning: noise", "bad.c:1: error: no"} <= set(whole)
    assert list((cache / "kernels").iterdir()) == []


def test_log_of_a_build_that_went_well_is_not_kept(entry, cache):
    kernels.obtain_entry(entry)
    assert list((cache / "logs").iterdir()) == []


_RECIPE = [f"x.c:{i}: warning: noise" for i in range(100)]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([], []),
        (["tar: no"], ["tar: no"]),
        (_RECIPE, _RECIPE[-15:]),
        (["  CC      a.o", "make[2]: *** [b:1: a.o] Error 1"], ["  CC      a.o"]),
        (["  CC      a.o", *_RECIPE, "make: *** [b:1: a.o] Error 2", "more"], _RECIPE[-15:]),
        (["a.c:9: error: no", "  CC      a.o", "w", "make: *** [b:1: a] Error 2"], ["  CC", "w"]),
        (["  CC      a.o", "a.c:9: error: x", *_RECIPE, "make: *** [b:1: a.o] Error 1"],
         ["a.c:9: error: x", *_RECIPE[:14]]),
    ],
)  # fmt: skip
def test_lines_that_tell_a_failure(said, told):
    shown = failure_lines(said)
    made = [line for line in said if line.startswith("make")][:1]
    assert shown[len(told) :] == made
    assert all(line.startswith(start) for line, start in zip(shown, told, strict=False))


def test_progress_counts_the_steps_that_make_announces(entry, capfd, monkeypatch):
    monkeypatch.setattr("qemu.progress._PLAIN_INTERVAL", 0.0)
    kernels.obtain_entry(replace(entry, steps=4))
    lines = capfd.readouterr().out.splitlines()
    steps = [line.partition(" (")[0] for line in lines if "building" in line]
    wanted = ["0 of 4", "1 of 4: CC init/main.o", "2 of 4: LD vmlinux"]
    # A step that takes a while is said again.
    assert list(dict.fromkeys(steps)) == [f"tiny: building {step}" for step in wanted]


def test_killed_builder_takes_make_with_it(entry, tmp_path):
    started = tmp_path / "started"
    slow = f"\t@echo $$PPID > {started}.new; mv {started}.new {started}; sleep 60\n"
    makefile = MAKEFILE.replace("bzImage: vmlinux\n", "bzImage: vmlinux\n" + slow)
    endless = entry_for(tarball(tmp_path / "slow", makefile), entry.configs)
    code = "import sys\nfrom qemu.kernels import *\nfrom qemu.catalogue import *\n"
    code += "from pathlib import *\n" + f"obtain_entry({endless!r})"
    code = code.replace("PosixPath", "Path")
    with subprocess.Popen([sys.executable, "-c", code], cwd=_ROOT) as builder:
        _wait_for(started.exists)
        builder.kill()
    make = Path("/proc", started.read_text().strip())
    _wait_for(lambda: not make.exists())


def test_other_version_is_refused(entry):
    with pytest.raises(SetupError, match=r"the source is Linux 9\.8\.7, not 9\.8\.6"):
        kernels.obtain_entry(replace(entry, version="9.8.6"))


def test_wrong_checksum_is_refused(entry):
    with pytest.raises(SetupError, match=f"SHA-256 {entry.sha256}, but the catalogue says 00"):
        kernels.obtain_entry(replace(entry, sha256="0" * 64))


def test_missing_local_tarball_is_named(entry):
    Path(entry.directory, entry.file).unlink()
    with pytest.raises(SetupError, match=r"cannot read .*linux-9\.8\.7\.tar\.xz: No such file"):
        kernels.obtain_entry(entry)


def test_http_source_is_downloaded_once_and_not_kept(entry, server, cache):
    kernel = kernels.obtain_entry(replace(entry, directory=url(server, "pub")))
    assert kernel.version == "9.8.7"
    assert server.requests == ["/pub/linux-9.8.7.tar.xz"]
    assert list((cache / "sources").iterdir()) == []


def test_file_url_is_a_source(entry):
    kernel = kernels.obtain_entry(replace(entry, directory=f"file://{entry.directory}/"))
    assert kernel.version == "9.8.7"


def test_download_survives_a_failed_build(entry, server):
    _fragment(entry, "CONFIG_UNKNOWN=y\n")
    remote = replace(entry, directory=url(server, "pub"))
    for _ in range(2):
        with pytest.raises(SetupError, match="drops CONFIG_UNKNOWN from its configuration"):
            kernels.obtain_entry(remote)
    assert len(server.requests) == 1


def test_download_that_is_cut_off_is_refused(entry, server, cache):
    with pytest.raises(SetupError, match=r"xz was cut off after \d+ of \d+ bytes"):
        kernels.obtain_entry(replace(entry, directory=url(server, "cut")))
    assert list((cache / "sources").iterdir()) == []


def test_missing_file_on_the_server_is_one_clear_line(entry, server):
    absent = replace(entry, directory=url(server, "pub"), file="linux-1.tar.xz")
    with pytest.raises(SetupError, match=r"linux-1\.tar\.xz: HTTP Error 404") as error:
        kernels.obtain_entry(absent)
    assert "\n" not in str(error.value)


def test_catalogue_of_the_project_loads_and_finds_its_configurations():
    entries = catalogue.load()
    assert entries["kgdb-5.10"].release == "5.10.223"
    assert entries["kgdb-4.4"].url == (
        "https://cdn.kernel.org/pub/linux/kernel/v4.x/linux-4.4.tar.xz"
    )
    assert len({each.key for each in entries.values()}) == len(entries) == 9
    for each in entries.values():
        assert each.key.startswith(each.name)
        symbols = set(each.fragment.splitlines())
        built_for_kgdb = {"CONFIG_KGDB=y", "CONFIG_KGDB_SERIAL_CONSOLE=y"} <= symbols
        assert built_for_kgdb == ("kgdb" in each.stubs) == each.name.startswith("kgdb-")
        assert "qemu" in each.stubs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]\nkind = 'guess'\n", "a: kind is 'guess', not one of debian-image, "),
        ("[a]\nkind = 'tarball'\ncolour = 'red'\n", "a: unknown key colour"),
        (
            "[a]\nkind = 'tarball'\nabout = ''\nversion = '1'\n",
            "missing key stubs, directory, file, sha256, config",
        ),
        (
            "[a]\nkind = 'debian-image'\nabout = ''\nsuite = ''\npackage = ''\nstubs = ['jtag']\n",
            "a: no stub is called jtag",
        ),
        ("[a\n", "catalogue.toml: "),
        (
            "[a]\nkind = 'debian-image'\nabout = ''\nsuite = ''\npackage = ''\nstubs = []\n"
            "cpus = ['max']\nlazy = 'min'\n",
            "a: lazy is min, which is not one of its cpus",
        ),
    ],
)
def test_wrong_catalogue_is_refused(tmp_path, text, message):
    path = tmp_path / "catalogue.toml"
    path.write_text(text)
    with pytest.raises(SetupError, match=message):
        catalogue.load(path)


def test_command_lists_and_refuses():
    def run(*argv: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "qemu.kernels", *argv]
        return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, env=os.environ)

    listed = run()
    assert listed.returncode == 0
    assert listed.stdout.split("\n")[0].split()[:3] == ["kgdb-4.4", "not", "cached"]
    refused = run("kgdb-0.1")
    assert refused.returncode == 1
    assert refused.stderr.startswith(
        "qemu.kernels: no kernel is called 'kgdb-0.1'; the catalogue has "
    )
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("head", [b"", b"bz\n", bytes(1024), bytes(514) + b"HdrS" + bytes(600)])
def test_image_that_states_no_release_is_refused(tmp_path, head):
    image = tmp_path / "bzImage"
    image.write_bytes(head)
    with pytest.raises(SetupError, match="states no release"):
        release_of(image)
