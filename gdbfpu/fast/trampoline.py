# SPDX-License-Identifier: GPL-2.0-or-later
"""The code of a fast trace: a trampoline for each function, and the recorder that they share.

A function's entry jumps to its trampoline. The trampoline saves the flags and the registers, has
the pass recorded, restores them, executes the instructions that the jump replaced, and jumps back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbfpu.fast.assembler import Assembler, Memory, Register
from gdbfpu.fast.layout import PAGE, Area
from gdbfpu.fast.places import Places
from gdbfpu.fast.recorder import FULL, RETRY, Filters, assemble_full, assemble_recorder
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.window import JUMP, Window

__all__ = ("Diverted", "Program", "assemble", "code_pages", "patched")

_SAVED = (  # not rbp: whoever walks the stack from an NMI needs it
    Register.RAX, Register.RCX, Register.RDX, Register.RBX, Register.R12, Register.RSI,
    Register.RDI, Register.R8, Register.R9, Register.R10, Register.R11,
)  # fmt: skip
_STACK = 8 * (len(_SAVED) + 1)  # with the flags
_PAD, _INT3 = 16, b"\xcc"  # a stray jump stops


@dataclass(frozen=True)
class Diverted:
    """A function to divert: its `probe`, and the `window` at its entry that the jump replaces."""

    probe: Probe
    window: Window


@dataclass(frozen=True)
class Program:
    """The assembled `code`, and addresses in it.

    `entries` are the trampolines, `resumes` the displaced instructions in each. `full` is where a
    pass that finds no room can be stopped, `retry` from where it tries again. `clock` is a function
    that returns the time-stamp counter, `clear` one that sets its second argument's number of u64
    to 0, from its first argument on.
    """

    code: bytes
    entries: tuple[int, ...]
    resumes: tuple[int, ...]
    full: int
    retry: int
    clock: int
    clear: int


def assemble(
    functions: Sequence[Diverted],
    places: Places,
    area: Area,
    filters: Filters,
    *,
    header: bool,
) -> Program:
    """Return the code for `area`, which diverts `functions`; see assemble_recorder()."""
    asm = Assembler(area.base)
    assemble_recorder(asm, places, area, filters, header=header)
    _functions(asm)
    for number, function in enumerate(functions):
        asm.raw(_INT3 * (-asm.here % _PAD))
        _trampoline(asm, places, number, function)
    # QEMU emulates the page of a breakpoint instruction by instruction: give it a page of its own.
    asm.raw(_INT3 * (-asm.here % PAGE))
    assemble_full(asm)
    code = asm.finish()
    return Program(
        code,
        tuple(asm.address_of(f"entry {n}") for n in range(len(functions))),
        tuple(asm.address_of(f"displaced {n}") for n in range(len(functions))),
        asm.address_of(FULL),
        asm.address_of(RETRY),
        asm.address_of("clock"),
        asm.address_of("clear"),
    )


def code_pages(
    functions: Sequence[Diverted], places: Places, filters: Filters, *, header: bool
) -> int:
    """Return how many pages the code takes, in the ring's or the table's form."""
    near = min((function.window.address for function in functions), default=0) // PAGE * PAGE
    sizes = []
    for area in (Area(near, 1, slots=1), Area(near, 1, rows=1)):
        sizes.append(len(assemble(functions, places, area, filters, header=header).code))
    return -(-max(sizes) // PAGE)


def _functions(asm: Assembler) -> None:
    """Append the two functions that a debugger calls."""
    asm.label("clock")
    asm.simple("rdtsc")
    asm.shift_left(Register.RDX, 32)
    asm.add(Register.RAX, Register.RDX)
    asm.simple("ret")
    asm.label("clear")
    asm.load(Register.RAX, 0)
    asm.mov(Register.RCX, Register.RSI)
    asm.simple("cld")
    asm.simple("rep stosq")
    asm.simple("ret")


def _trampoline(asm: Assembler, places: Places, number: int, function: Diverted) -> None:
    asm.label(f"entry {number}")
    asm.simple("pushfq")
    asm.simple("cli")
    for register in _SAVED:
        asm.push(register)
    asm.mov(Register.R12, places.current)
    _subject(asm, places, function.probe)
    asm.load(Register.RCX, number)
    asm.mov(Register.RDI, Memory(Register.RSP, _STACK))
    asm.call("record")
    for register in reversed(_SAVED):
        asm.pop(register)
    asm.simple("popfq")
    asm.label(f"displaced {number}")
    _displaced(asm, function.window, f"back {number}")


def _subject(asm: Assembler, places: Places, probe: Probe) -> None:
    """Put the task that the pass is about into rbx. The arguments are still in their registers."""
    if probe.subject == "current":
        asm.mov(Register.RBX, Register.R12)
        return
    argument = Register[probe.register.upper()]
    offset = places.fpu_offset if probe.subject == "fpu" else 0
    asm.lea(Register.RBX, Memory(argument, -offset))


def _displaced(asm: Assembler, window: Window, back: str) -> None:
    """Append the instructions of `window`, and the jump back, to a new label `back`."""
    asm.raw(window.plain)
    if window.calls:  # the function that is called returns to where it always does
        asm.push_value(window.end - (1 << 64))
    asm.label(back, window.end if window.leaves is None else window.leaves)
    asm.jump(back)


def patched(window: Window, to: int) -> bytes:
    """Return the bytes to write over those of `window`: a jump to `to`, and the rest as it is."""
    asm = Assembler(window.address)
    asm.label("to", to)
    asm.jump("to")
    return asm.finish() + window.code[JUMP:]
