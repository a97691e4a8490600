# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that does not boot: given up in time, told in one line, its console kept."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from qemu import booting, cache, ready, vm
from qemu.console import PROMPT
from qemu.errors import MachineLost, SetupError
from qemu.kernels import Kernel
from qemu.vm import Machine

_SETUP_SECTORS = 0x1F1  # the Linux/x86 boot protocol, "The Real-Mode Kernel Header"
_LOOP = b"\xeb\xfe"  # jmp to itself


@pytest.fixture
def hanging(kernel, tmp_path) -> Path:
    """The kernel's image with a decompressor that does not get past its first instruction."""
    image = bytearray(kernel.bzimage.read_bytes())
    start = (image[_SETUP_SECTORS] + 1) * 512
    image[start : start + len(_LOOP)] = _LOOP
    path = tmp_path / "bzImage"
    path.write_bytes(image)
    return path


@pytest.fixture
def given(kernel, hanging, monkeypatch, tmp_path) -> Kernel:
    """The hanging kernel, given by hand under a name of its own, and a short deadline."""
    monkeypatch.setenv("KERNEL", "of-my-own")
    monkeypatch.setenv("VMLINUX", str(kernel.vmlinux))
    monkeypatch.setenv("BZIMAGE", str(hanging))
    monkeypatch.setattr(vm, "_FIRST_LINE", 3.0)
    monkeypatch.setattr(cache, "cache_root", lambda: tmp_path / "cache")
    return kernel


def test_kernel_that_says_nothing_is_given_up(hanging, initrd, monkeypatch):
    monkeypatch.setattr(vm, "_FIRST_LINE", 3.0)
    started = time.monotonic()
    silent = pytest.raises(MachineLost, match=r"^nothing on the console within 3 s$")
    with Machine(hanging, initrd) as machine, silent:
        machine.boot(PROMPT, 120)
    assert time.monotonic() - started < 30


def test_first_words_are_not_lost_to_who_waits_for_them(machine, initrd):
    guest = machine(initrd, until=r"\A\s*\S")
    guest.wait_console(PROMPT, 120)


def test_kernel_that_does_not_boot_is_one_line_that_names_its_console(given, initrd, tmp_path):
    log = tmp_path / "cache" / "logs" / f"of-my-own_{given.version}.console.log"
    with pytest.raises(SetupError) as error:
        booting.boot_kernel("of-my-own", initrd)
    how = "nothing on the console within 3 s"
    assert str(error.value) == f"of-my-own does not boot: {how}; its console output is in {log}"
    assert log.read_text() == ""


def test_console_of_a_kernel_that_panics_is_kept(kernel, initrd, monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "cache_root", lambda: tmp_path / "cache")
    monkeypatch.setattr(booting, "obtain", lambda name: kernel)
    (tmp_path / "initrd").write_bytes(b"no archive")
    with pytest.raises(SetupError, match=r"does not boot: the kernel says: .*panic.*; its console"):
        booting.boot_kernel(kernel.name, tmp_path / "initrd")
    (log,) = (tmp_path / "cache" / "logs").iterdir()
    assert "Linux version" in log.read_text()


def test_command_is_not_run_where_the_named_kernel_does_not_boot(given, capfd, monkeypatch, initrd):
    monkeypatch.setattr(ready, "test_image", lambda: initrd)
    assert ready.main(["echo", "never"]) == 1
    out, err = capfd.readouterr()
    assert err.startswith("kernel: of-my-own does not boot: ") and err.count("\n") == 1
    assert "never" not in out


def test_kernel_that_boots_leaves_no_log(kernel, initrd, monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "cache_root", lambda: tmp_path / "cache")
    monkeypatch.setattr(booting, "obtain", lambda name: kernel)
    machine, booted = booting.boot_kernel(kernel.name, initrd)
    with machine:
        assert booted == kernel
        assert machine.run("uname -r", 20) == f"{kernel.version}\n"
    assert list((tmp_path / "cache" / "logs").iterdir()) == []
