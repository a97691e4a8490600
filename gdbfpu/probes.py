# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue of FPU functions worth a breakpoint, and what their first argument means.

A kernel has some of them; presence of the symbol decides, never a version number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gdbfpu.errors import MissingSymbol, UsageError
from gdbfpu.target import Target

__all__ = ("CATALOGUE", "FRAME_ARGUMENTS", "Probe", "select")

FRAME_ARGUMENTS = {"fpu__restore_sig": "rdi"}
"""Functions at whose entry a user signal frame is whole, and the register that points to it."""


_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")  # System V AMD64 ABI


@dataclass(frozen=True)
class Probe:
    """A kernel function to break on.

    `purpose` says when the kernel calls it; `since` and `until` name the releases that have it
    (for people: only the symbol decides); `subject` says whose FPU state a call is about:
    `current` for the running task's, `fpu` when the first argument is a `struct fpu *`,
    `task` when it is a `struct task_struct *`; `parameters` is how many arguments it takes.
    """

    function: str
    purpose: str
    subject: str
    parameters: int
    since: str
    until: str | None = None

    @property
    def registers(self) -> tuple[str, ...]:
        """Return the registers that hold the arguments when the function begins."""
        return _ARGUMENTS[: self.parameters]


CATALOGUE: tuple[Probe, ...] = (
    Probe("copy_fpstate_to_sigframe", "saves the state to a signal frame", "current", 3, "4.2"),
    Probe("save_xstate_sig", "saves the state to a signal frame", "current", 3, "3.7", "4.1"),
    Probe(
        "fpstate_sanitize_xstate",
        "makes components in their initial state clean in memory (signal, ptrace, core dump)",
        "fpu",
        1,
        "4.2",
        "5.13",
    ),
    Probe(
        "__sanitize_i387_state",
        "makes components in their initial state clean in memory (signal, ptrace, core dump)",
        "task",
        1,
        "2.6.35",
        "4.1",
    ),
)
"""All probes that gdbfpu knows; those of newer kernels first."""


def select(target: Target, names: Iterable[str] = ()) -> tuple[tuple[Probe, int], ...]:
    """Return the probes called `names` with their functions' addresses; all there are for none.

    Raises UsageError for a name that is not in the catalogue, MissingSymbol for a function
    that this kernel does not have.
    """
    known = {probe.function: probe for probe in CATALOGUE}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in known:
            raise UsageError(f"no probe is called {name!r}; there are: {', '.join(sorted(known))}")
    found = []
    for probe in [known[name] for name in wanted] or CATALOGUE:
        address = target.symbol_address(probe.function)
        if address is not None:
            found.append((probe, address))
        elif wanted:
            raise MissingSymbol(probe.function)
    if not found:
        raise MissingSymbol(CATALOGUE[0].function)
    return tuple(found)
