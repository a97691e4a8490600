# SPDX-License-Identifier: GPL-2.0-or-later
"""Who uses the FPU, beside a busy machine: a part of what `tests.vm.matrix --runs 20` tries."""

from __future__ import annotations

from pathlib import Path

import pytest

from qemu.cpus import model_for
from qemu.guest.answers import ANSWERS
from qemu.kernels import Kernel
from tests.vm.matrix import busy
from tests.vm.trial import Outcome, trial

RUNS = 1


@pytest.mark.parametrize("stub", ["kgdb", "qemu"])
def test_no_answer_is_wrong_beside_a_busy_machine(
    kernel: Kernel, stub: str, tmp_path: Path
) -> None:
    """Each program that tries to fool gdbfpu gets an answer that qemu/guest/answers.py allows."""
    outcome = Outcome(kernel, model_for(kernel), stub, RUNS)
    with busy(2):
        trial(outcome, tmp_path)
    assert outcome.problems == []
    assert outcome.answers["wrong"] == 0
    subjects = [name for name in ANSWERS if name.split("/")[0] in outcome.programs]
    assert outcome.answers["right"] + outcome.answers["open"] >= RUNS * len(subjects)
