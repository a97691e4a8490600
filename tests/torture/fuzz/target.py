# SPDX-License-Identifier: GPL-2.0-or-later
"""What is fuzzed: a module of this folder has a TARGET."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Callable

__all__ = ("ROOT", "Target", "load")

ROOT = Path(__file__).parents[3]
"""The checkout."""


@dataclass(frozen=True)
class Target:
    """A reader of hostile files.

    - `what`: the row of the table.
    - `runs`: how many inputs it gets when everything is done.
    - `seeds`: makes valid inputs, in the empty folder that it is given.
    - `read`: has gdbfpu read an input, and checks what it says (AssertionError).
    - `hurt`: changes an input where it hurts.
    - `largest`: bytes of an input.
    """

    what: str
    runs: int
    seeds: Callable[[Path], Iterable[bytes]]
    read: Callable[[bytes], None]
    hurt: Callable[[bytearray, Random], bytes]
    largest: int


def load(name: str) -> Target:
    """Return the target called `name`."""
    target: Target = import_module(f"tests.torture.fuzz.{name}").TARGET
    return target
