# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that Debian built: modules, ftrace, no KGDB; the other tests build theirs."""

from __future__ import annotations

from pathlib import Path

from qemu.catalogue import load
from qemu.guest.image import test_image as guest_image
from qemu.kernels import obtain
from qemu.vm import Machine
from tests.vm.trial import Outcome, trial

NAME = "debian-6.1"


def test_every_hit_every_user_and_the_state_on_debians_kernel(tmp_path: Path) -> None:
    kernel = obtain(NAME)
    outcome = Outcome(kernel, load()[NAME].cpus[0], "qemu")
    trial(outcome, tmp_path)
    assert outcome.problems == []
    assert outcome.layouts == "eager, standard"
    assert outcome.hits == "625 of 625"
    assert (outcome.users, outcome.state) == ("yes", "yes")


def test_kernel_relocates_itself_where_it_may() -> None:
    kernel = obtain(NAME)
    cpu = load()[NAME].cpus[0]
    texts = set()
    for kaslr in (False, True, True):
        with Machine(kernel.bzimage, guest_image(), cpu=cpu, kaslr=kaslr) as machine:
            machine.boot("gdbfpu# ", 120.0)
            assert ("nokaslr" in machine.run("cat /proc/cmdline", 20.0).split()) is not kaslr
            texts.add(machine.run("grep -w _text /proc/kallsyms", 20.0).split()[0])
    assert "ffffffff81000000" in texts
    assert len(texts) >= 2  # one boot in 500 may land where it was linked
