# SPDX-License-Identifier: GPL-2.0-or-later
"""Who uses the FPU, beside a busy machine: programs that try to fool gdbfpu, again and again.

Each must get an answer that qemu/guest/answers.py allows. `tests.vm.matrix --runs 20` tries more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from qemu.cpus import model_for
from qemu.guest.answers import ANSWERS
from qemu.kernels import obtain
from tests.torture.faults import KERNEL
from tests.torture.row import Row
from tests.vm.matrix import busy
from tests.vm.trial import Outcome, trial

__all__ = ("rows",)

TIMES = 2
BUSY = 2  # processes that do nothing but take time


def rows(divisor: int) -> Iterator[Row]:
    """Let the programs try so many times in a trace, over each stub."""
    kernel = obtain(KERNEL)
    for stub in ("kgdb", "qemu"):
        outcome = Outcome(kernel, model_for(kernel), stub, max(1, TIMES // divisor))
        with busy(BUSY), tempfile.TemporaryDirectory(prefix="gdbfpu-") as folder:
            trial(outcome, Path(folder))
        yield Row(f"who uses the FPU, {stub}", outcome.runs, tuple(_wrong(outcome)))


def _wrong(outcome: Outcome) -> Iterator[str]:
    yield from outcome.problems
    given = outcome.answers
    if given["wrong"]:
        yield f"{given['wrong']} answers are wrong"
    subjects = [name for name in ANSWERS if name.split("/")[0] in outcome.programs]
    wanted = outcome.runs * len(subjects)
    if given["right"] + given["open"] < wanted:
        yield f"{given['right']} answers are right, {given['open']} open, of {wanted}"
