# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu doctor` in a shell, with GDBs that are scripts."""

from __future__ import annotations

import json
import subprocess

import kernel_like
import pytest

from gdbfpu.cli import main
from gdbfpu.doctor import distributions
from gdbfpu.doctor.distributions import debug_package, distribution, install_gdb


@pytest.fixture(autouse=True)
def gdb(tmp_path, monkeypatch):
    """Return what makes `gdb` a program that runs a shell's command; None: there is none."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def install(command: str | None) -> None:
        program = folder / "gdb"
        program.write_text(f"#!/bin/sh\n{command}\n")
        program.chmod(0o755 if command else 0o644)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin" if command else f"{folder}")

    install("exit 1")
    return install


def doctor(capsys, *words):
    """Return the findings by check, and the exit status."""
    status = main(["doctor", *words, "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    assert told["trouble"] == bool(status)
    return {row["check"]: row for row in told["findings"]}, status


def test_no_gdb(capsys, gdb):
    gdb(None)
    found, status = doctor(capsys)
    assert (status, found["GDB"]["verdict"]) == (1, "trouble")
    assert found["GDB"]["mend"] == [install_gdb(distribution())]
    assert found["packages"]["verdict"] == "cannot be told"


def test_gdb_without_python(capsys, gdb):
    gdb("echo Python scripting is not supported in this copy of GDB. >&2; exit 1")
    found, _ = doctor(capsys)
    assert found["GDB"]["verdict"] == "trouble"
    assert "it says: Python scripting is not supported" in found["GDB"]["seen"]


def test_a_gdb_that_hangs(capsys, gdb, monkeypatch):
    monkeypatch.setattr("gdbfpu.doctor.gdb_program._DEADLINE", 0.2)
    gdb("exec sleep 60")
    found, _ = doctor(capsys)
    assert "does not end within" in found["GDB"]["seen"]


def test_vmlinux(capsys, tmp_path, monkeypatch):
    """A kernel's file: with types; stripped of them; no kernel at all."""
    kernel = tmp_path / "k.c"
    banner = 'const char linux_banner[] = "Linux version 6.1.0-99-amd64 (me) #1";'
    kernel.write_text(f"{banner} int main(void) {{ return linux_banner[0]; }}")
    subprocess.run(["gcc", "-no-pie", kernel, "-o", tmp_path / "bare"], check=True, timeout=60)
    found, _ = doctor(capsys, str(tmp_path / "bare"))
    assert (found["vmlinux"]["verdict"], found["types"]["verdict"]) == ("ok", "trouble")
    assert "CONFIG_DEBUG_INFO_BTF=y" in found["types"]["mend"]
    package = debug_package(distribution(), "6.1.0-99-amd64")
    assert found["types"]["mend"][: len(package)] == list(package)
    with_types = kernel_like.build(tmp_path, "gcc")
    found, _ = doctor(capsys, str(with_types))
    assert found["types"]["verdict"] == "ok"
    assert "has no symbol linux_banner" in found["vmlinux"]["seen"]
    found, _ = doctor(capsys, str(kernel))
    assert found["vmlinux"]["verdict"] == "trouble"
    found, _ = doctor(capsys, str(tmp_path / "none"))
    assert "No such file or directory" in found["vmlinux"]["seen"]


def test_device(capsys, tmp_path):
    found, status = doctor(capsys, "--device", str(tmp_path / "ttyUSB0"))
    assert status == 1
    assert found[f"{tmp_path / 'ttyUSB0'}"]["verdict"] == "trouble"
    assert found["who answers"]["verdict"] == "cannot be told"


def test_baud(capsys):
    assert doctor(capsys, "--baud", "9600")[0]["rate"]["seen"].startswith("9600 bit/s")
    assert main(["doctor", "--baud", "9601"]) == 1
    assert "no tty has a rate of 9601 bit/s; there are: 50, 75, " in capsys.readouterr().err
    assert main(["doctor", "--baud", "0"]) == 1
    assert "a line with 0 bit/s carries nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "debug"),
    [
        ({"ID": "debian"}, "sudo apt install linux-image-6.1-dbg"),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, "sudo apt install linux-image-6.1-dbgsym"),
        ({"ID": "mint", "ID_LIKE": "ubuntu debian"}, "sudo apt install linux-image-6.1-dbgsym"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "sudo dnf debuginfo-install kernel-6.1"),
        ({"ID": "opensuse-leap", "ID_LIKE": "suse opensuse"},
         "sudo zypper install kernel-default-debuginfo"),
        ({"ID": "arch"}, "sudo pacman -S linux-headers"),
    ],
)  # fmt: skip
def test_distributions(monkeypatch, told, debug):
    monkeypatch.setattr(distributions.platform, "freedesktop_os_release", lambda: told)
    assert debug_package(distribution(), "6.1")[0] == debug


def test_a_distribution_that_is_not_known(monkeypatch):
    monkeypatch.setattr(distributions.platform, "freedesktop_os_release", lambda: {"ID": "mine"})
    assert distribution() is None
    assert debug_package(distribution(), "6.1") == ()
    assert install_gdb(distribution()) == "install the package gdb"
