# SPDX-License-Identifier: GPL-2.0-or-later
"""Registers through QEMU's monitor, whose recorded answers a script gives to a real GDB."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gdb_harness import gdb
from scripted_stub import KERNEL_MODE, ScriptedStub

from qemu.guest.patterns import PATTERNS

ASK = "info registers -a"
TEXT = (Path(__file__).parents[1] / "data/qemu-registers/qemu-11.1.txt").read_text()
QEMU = {**KERNEL_MODE, "gs_base": 1}
SHOW = (
    "python import json; from gdbfpu.dbg.target import GdbTarget; "
    "cpus = map(GdbTarget().fpu_registers, range(3)); "
    "print(json.dumps([{name: value.hex() for name, value in cpu.items()} for cpu in cpus]))"
)


def shown(file: Path, folder: Path, monitor: dict[str, str]) -> list[dict[str, bytes]]:
    """Return the registers of CPUs 0 to 2; the machine of `monitor` has 0 and 1."""
    with ScriptedStub(file, folder / "stub", QEMU, monitor) as stub:
        commands = (f"file {file}", f"target remote {stub.path}", "source gdbfpu", SHOW)
        answer = json.loads(gdb(*commands).parts[3])
    return [{name: bytes.fromhex(raw) for name, raw in cpu.items()} for cpu in answer]


@pytest.mark.parametrize("kvm", ["disabled", "enabled"])
def test_every_cpu_through_the_monitor(kernel44: Path, tmp_path: Path, kvm: str) -> None:
    """One GDB thread, and yet both CPUs. KVM has ST(0) where the emulator has a physical one."""
    monitor = {ASK: TEXT, "info kvm": f"kvm support: {kvm}\r\n"}
    *cpus, none = shown(kernel44, tmp_path, monitor)
    assert none == {}
    x87calc, ymmall = PATTERNS["x87calc"], PATTERNS["ymmall"]
    (found,) = [cpu for cpu in cpus if cpu["ymm1"] == ymmall["ymm1"]]
    assert {name: found[name] for name in ymmall} == ymmall
    (found,) = [cpu for cpu in cpus if cpu["fcw"] == x87calc["fcw"]]
    matches = {name: found[name] == value for name, value in x87calc.items()}
    assert all(matches.values()) == (kvm == "disabled")
    assert found["st3" if kvm == "enabled" else "st0"] == x87calc["st0"]


@pytest.mark.parametrize("text", ["", TEXT.replace("FTW=", "TAG=")])
def test_no_register_that_is_not_surely_known(kernel44: Path, tmp_path: Path, text: str) -> None:
    """This stub shows GDB no XMM either, so nothing is left."""
    assert shown(kernel44, tmp_path, {ASK: text, "info kvm": ""}) == [{}, {}, {}]


def test_no_monitor(kernel44: Path, tmp_path: Path) -> None:
    assert shown(kernel44, tmp_path, {}) == [{}, {}, {}]
