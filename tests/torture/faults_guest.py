# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults that the guest's programs make, or its administrator."""

from __future__ import annotations

import re

from qemu.building import MODULE
from tests.torture.fault import Fault, Scene

GUEST = 120.0  # seconds for a command of the guest, while each signal stops it

# Tasks that take signals, and are killed at any moment of it; others that end after one.
EXITS = (
    "for i in 1 2 3; do sigstorm 0 & usleep $((i * 300)); kill -9 $!; done; "
    "onesignal 3 1 > /dev/null"
)
HOTPLUG = (
    "cd /sys/devices/system/cpu/cpu1; for i in 0 1 0 1; do echo $i > online; usleep 20000; done; "
    "cat online; cd /"
)
LOAD = f"for i in 1 2 3; do insmod /{MODULE}.ko; lsmod | grep -c {MODULE}; rmmod {MODULE}; done"
CLOCK = "date -s '1999-01-01 00:00:00' > /dev/null; date +%Y"


def _numbers(said: str) -> list[str]:
    """Return the lines with a number, among which the kernel's own lines may be."""
    return re.findall(r"^\d+$", said, re.MULTILINE)


def _exits(scene: Scene) -> None:
    scene.lab.machine.run(EXITS, GUEST)


def _hotplug(scene: Scene) -> None:
    said = scene.lab.machine.run(HOTPLUG, GUEST)
    assert _numbers(said) == ["1"], f"the CPU did not come back: {said!r}"


def _modules(scene: Scene) -> None:
    said = scene.lab.machine.run(LOAD, GUEST)
    assert _numbers(said) == ["1"] * 3, f"the module was not loaded: {said!r}"


def _clock_back(scene: Scene) -> None:
    said = scene.lab.machine.run(CLOCK, GUEST)
    assert "1999" in said, f"the clock was not set back: {said!r}"


FAULTS = (
    Fault("task exits at a hit", _exits, "running"),
    Fault("CPU offline, online", _hotplug, "running"),
    Fault("modules loaded, unloaded", _modules, "running"),
    Fault("guest's clock set back", _clock_back, "running"),
)
