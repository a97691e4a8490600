# SPDX-License-Identifier: GPL-2.0-or-later
"""Borrow a task of the running kernel, and have it call the kernel's functions.

The task is stopped at the beginning of a function where it may sleep and holds no spinlock. Its
registers are restored afterwards, so it goes on as if nothing had happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Callable

import gdb

from gdbfpu.dbg.language import in_c
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.dbg.terminal import run_kernel
from gdbfpu.dbg.waiting import alarm, waiting
from gdbfpu.errors import GdbFpuError, MemoryFault
from gdbfpu.fast.loan import Lend, Loan
from gdbfpu.probes.gadget import IDLE_FUNCTIONS, THUNK, Gadget, find_gadget

__all__ = ("Borrowed", "borrowed", "find_call", "repay")

# Where a task may sleep. The last two run in a worker thread, at least once in a second or two.
_QUIET = ("vfs_read", "vfs_write", "vmstat_shepherd", "vmstat_update")
_WAIT = 20.0  # seconds for a task to come by
_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")  # System V AMD64 ABI
_SAVED = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp"),
    *(f"r{n}" for n in range(8, 16)),
    *("eflags", "rip"),
)
_INTERRUPTS = 1 << 9  # RFLAGS.IF


class _Place(gdb.Breakpoint):  # type: ignore[misc]
    """A breakpoint at which the kernel stays stopped; `hit` tells that it was reached."""

    def __init__(self, address: int) -> None:
        self.hit = False
        with in_c():
            super().__init__(f"*{address:#x}", internal=True)
        self.silent = True

    def stop(self) -> bool:
        self.hit = True
        return True


@contextmanager
def _planted(*addresses: int) -> Iterator[list[_Place]]:
    """Plant a place at each of `addresses` for the block of code."""
    places = [_Place(address) for address in addresses]
    try:
        yield places
    finally:
        for place in places:
            place.delete()


def find_call(target: GdbTarget) -> Gadget:
    """Return a call through a register that a borrowed task can use; raise GdbFpuError."""
    names = ("rax", "rbx", "rbp", *(f"r{n}" for n in range(10, 16)))
    thunks = {target.symbol_address(THUNK + name): name for name in names}
    known = {address: name for address, name in thunks.items() if address is not None}
    for function in IDLE_FUNCTIONS:
        address = target.symbol_address(function)
        if address is not None:
            found = find_gadget(target.function_code(address), address, known)
            if found is not None:
                return found
    raise GdbFpuError("this kernel has no idle call through a register, to call its functions with")


@contextmanager
def borrowed(target: GdbTarget, gadget: Gadget, lend: Lend) -> Iterator[Borrowed]:
    """Let the kernel run until a task comes by, and borrow it for the block of code.

    `lend` writes the task's registers to the disk, in case this debugger dies meanwhile. Raises
    GdbFpuError if no task comes by in time.
    """
    with _without_users_breakpoints():
        _catch(target)
        registers = {name: _read(target, name) for name in _SAVED}
        sp = _read(target, "rsp")
        loan = lend(registers, sp, gadget.back)
        with _planted(gadget.back) as (back,):
            try:
                yield Borrowed(target, gadget, sp, back)
            finally:
                _give_back(target, loan)


class Borrowed:
    """A task that makes calls through `gadget`, with the stack pointer `sp`; `back` is hit then."""

    def __init__(self, target: GdbTarget, gadget: Gadget, sp: int, back: _Place) -> None:
        self._target = target
        self._gadget = gadget
        self._sp = sp
        self._back = back

    def call(self, function: int, *arguments: int) -> int:
        """Return what the kernel's `function` returns (rax, u64) for at most nine `arguments`.

        Other tasks run meanwhile. This waits as long as it takes: the task cannot be given back
        before its call has returned.
        """
        target = self._target
        stacked = b"".join(value.to_bytes(8, "little") for value in arguments[6:])
        kept = target.read_memory(self._sp, len(stacked)) if stacked else b""
        target.write_memory(self._sp, stacked)
        values = dict(zip(_ARGUMENTS, arguments))
        _write(target, {**values, self._gadget.register: function, "rip": self._gadget.address})
        self._back.hit = False
        _run(lambda: self._back.hit, "a function of the kernel to return")
        at = _read(target, "rip")
        if at != self._gadget.back or _read(target, "rsp") != self._sp:
            raise GdbFpuError(
                f"the kernel is stopped at {at:#x}, not where the call returns: do not continue "
                "it, restart the machine"
            )
        target.write_memory(self._sp, kept)
        return _read(target, "rax")


def repay(target: GdbTarget, loan: Loan) -> bool:
    """Give back a task that a debugger that died has borrowed; return whether there is one.

    The task's call has pushed where it returns to, just below its stack pointer. Over KGDB, a new
    debugger finds the program counter behind the INT3 of the breakpoint that it does not know.
    """
    pushed = b""
    with suppress(MemoryFault):  # the stack of an earlier boot
        pushed = target.read_memory(loan.sp - 8, 8)
    if int.from_bytes(pushed, "little") != loan.back:
        return False
    if target.register("rip") not in (loan.back, loan.back + 1):
        with _planted(loan.back) as (place,):
            _run(lambda: place.hit, "a function of the kernel to return")
    _give_back(target, loan)
    return True


def _catch(target: GdbTarget) -> None:
    """Let the kernel run until a task is at a quiet place, and leave it stopped there.

    If it is at one already, as after the task was given back, do not run: to leave a breakpoint
    where it stands, GDB would have to step.
    """
    found = [a for name in _QUIET if (a := target.symbol_address(name)) is not None]
    if not found:
        raise GdbFpuError(f"this kernel has none of {', '.join(_QUIET)}")
    if _read(target, "rip") not in found:
        with _planted(*found) as places:
            _run(lambda: any(place.hit for place in places), "a task that reads or writes", _WAIT)
    if not _read(target, "eflags") & _INTERRUPTS:
        raise GdbFpuError("the task that came by has interrupts off: try again")


def _give_back(target: GdbTarget, loan: Loan) -> None:
    _write(target, loan.registers)
    loan.repay()


def _read(target: GdbTarget, name: str) -> int:
    value = target.register(name)
    if value is None:
        raise GdbFpuError(f"this stub does not show register {name}")
    return value


def _write(target: GdbTarget, values: Mapping[str, int]) -> None:
    for name, value in values.items():
        if _read(target, name) != value:
            target.write_register(name, value)


def _run(done: Callable[[], bool], what: str, limit: float | None = None) -> None:
    """Let the kernel run until it stops and `done` says so; raise GdbFpuError after `limit` s.

    The kernel may stop for other reasons, such as a ^C. `what` is what we wait for.
    """
    began = time.monotonic()
    while not done():
        left = None if limit is None else began + limit - time.monotonic()
        if left is not None and left <= 0:
            raise GdbFpuError(f"still waiting for {what} after {limit:.0f} s: the kernel is idle")
        with suppress(KeyboardInterrupt), waiting(what), alarm(left):
            run_kernel()


@contextmanager
def _without_users_breakpoints() -> Iterator[None]:
    """Disable the user's breakpoints in a block of code."""
    enabled: Sequence[gdb.Breakpoint] = [
        point for point in gdb.breakpoints() if point.enabled and point.number > 0
    ]
    for point in enabled:
        point.enabled = False
    try:
        yield
    finally:
        for point in enabled:
            if point.is_valid():
                point.enabled = True
