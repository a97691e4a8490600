# SPDX-License-Identifier: GPL-2.0-or-later
"""What a debugger owes to a task that it has borrowed: its registers, on disk while it has it.

If the debugger dies meanwhile, the machine stops where the task's call returns. A new debugger
gives the registers back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from gdbfpu.fast.journal import damaged, store, stored, u64

__all__ = ("Lend", "Loan", "find_loans", "write_loan")

_SUFFIX = ".loan"


@dataclass(frozen=True)
class Loan:
    """The `registers` of a task (u64 by name), its `sp`, and where its calls return to, `back`."""

    path: Path
    registers: Mapping[str, int]
    sp: int
    back: int

    def repay(self) -> None:
        """Remove the file: the task has its registers again."""
        self.path.unlink(missing_ok=True)


Lend = Callable[[Mapping[str, int], int, int], Loan]
"""Writes down a task's registers, its stack pointer, and where its calls return to."""


def write_loan(
    folder: Path, build_id: str, registers: Mapping[str, int], sp: int, back: int
) -> Loan:
    """Write a new loan of a task of the kernel with `build_id` (hex); raise UsageError."""
    data = {"build_id": build_id, "registers": dict(registers), "sp": sp, "back": back}
    return Loan(store(folder, _SUFFIX, data), registers, sp, back)


def find_loans(folder: Path, build_id: str) -> Iterator[Loan]:
    """Yield the loans in `folder` of kernels with `build_id`; raise CorruptState."""
    for path, data in stored(folder, _SUFFIX, build_id):
        with damaged(path):
            registers = {name: u64(value) for name, value in data["registers"].items()}
            if not all(map(str.isalnum, registers)):
                raise ValueError("it has something else than registers")
            loan = Loan(path, registers, u64(data["sp"]), u64(data["back"]))
        yield loan
