# SPDX-License-Identifier: GPL-2.0-or-later
"""Borrow a task of the running kernel, and have it call the kernel's functions.

The task is stopped at the beginning of a function where it may sleep and holds no spinlock. Its
registers are restored afterwards, so it goes on as if nothing had happened.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType

import gdb

from gdbfpu.dbg.language import in_c
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import GdbFpuError
from gdbfpu.probes.gadget import IDLE_FUNCTIONS, THUNK, Gadget, find_gadget

__all__ = ("Borrowed", "find_call")

# Where a task may sleep. The last two run in a worker thread, at least once in a second or two.
_QUIET = ("vfs_read", "vfs_write", "vmstat_shepherd", "vmstat_update")
_WAIT = 20.0  # seconds for a task to come by, and for a call to return
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


class Borrowed:
    """A task that makes calls. A context manager: the task is given back at its end."""

    def __init__(self, target: GdbTarget, gadget: Gadget) -> None:
        self._target = target
        self._gadget = gadget
        self._undo = ExitStack()
        self._registers: dict[str, int] = {}
        self._sp = 0

    def __enter__(self) -> Borrowed:
        """Let the kernel run until a task comes by; raise GdbFpuError if none does in time."""
        self._undo.enter_context(_without_users_breakpoints())
        try:
            self._catch()
            self._registers = {name: self._read(name) for name in _SAVED}
            self._sp = self._read("rsp")
            self._back = _Place(self._gadget.back)
            self._undo.callback(self._back.delete)
        except BaseException:
            self._undo.close()
            raise
        self._undo.callback(self._give_back)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._undo.close()

    def call(self, function: int, *arguments: int) -> int:
        """Return what the kernel's `function` returns (rax, u64) for at most nine `arguments`.

        Other tasks run meanwhile. Raises GdbFpuError if it does not return in time.
        """
        stacked = b"".join(value.to_bytes(8, "little") for value in arguments[6:])
        kept = self._target.read_memory(self._sp, len(stacked)) if stacked else b""
        self._target.write_memory(self._sp, stacked)
        values = dict(zip(_ARGUMENTS, arguments))
        self._write({**values, self._gadget.register: function, "rip": self._gadget.address})
        self._back.hit = False
        _run(lambda: self._back.hit, "the kernel's function does not return")
        if self._read("rip") != self._gadget.back or self._read("rsp") != self._sp:
            raise GdbFpuError(
                f"the kernel is stopped at {self._read('rip'):#x}, not where the call returns: do "
                "not continue it, restart the machine"
            )
        self._target.write_memory(self._sp, kept)
        return self._read("rax")

    def _catch(self) -> None:
        addresses = (self._target.symbol_address(name) for name in _QUIET)
        places = [_Place(address) for address in addresses if address is not None]
        try:
            if not places:
                raise GdbFpuError(f"this kernel has none of {', '.join(_QUIET)}")
            _run(lambda: any(place.hit for place in places), "no task calls read() or write()")
        finally:
            for place in places:
                place.delete()
        if not self._read("eflags") & _INTERRUPTS:
            raise GdbFpuError("the task that came by has interrupts off: try again")

    def _give_back(self) -> None:
        self._write(self._registers)

    def _read(self, name: str) -> int:
        value = self._target.register(name)
        if value is None:
            raise GdbFpuError(f"this stub does not show register {name}")
        return value

    def _write(self, values: dict[str, int]) -> None:
        for name, value in values.items():
            if self._read(name) != value:
                self._target.write_register(name, value)


def _run(done: Callable[[], bool], why: str) -> None:
    """Let the kernel run until it stops and `done` says so; raise GdbFpuError after a while.

    The kernel may stop for other reasons, such as a ^C.
    """
    deadline = time.monotonic() + _WAIT
    while not done():
        left = deadline - time.monotonic()
        if left <= 0:
            raise GdbFpuError(f"{why} in {_WAIT:.0f} s")
        alarm = threading.Timer(left, os.kill, (os.getpid(), signal.SIGINT))
        alarm.start()
        try:
            with suppress(KeyboardInterrupt):
                gdb.execute("continue", False, True)
        finally:
            alarm.cancel()


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
