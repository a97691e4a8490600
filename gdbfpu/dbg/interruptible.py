# SPDX-License-Identifier: GPL-2.0-or-later
"""Make a stop() for breakpoints that does all of its work, and does it once, even after a ^C.

Users press ^C while hits come in, and GDB is then mostly inside stop(). GDB 13 hands the ^C to
Python. Python raises KeyboardInterrupt at its next call, wherever that call is. If nothing handles
the exception, the hit is lost. Or the kernel is not resumed, and GDB steps over the breakpoint:
over KGDB, such a step crashes GDB (see gdbfpu.probes.resume). So stop() is a list of steps, and
three things hold:

- Every step of a hit is completed. The step that a ^C interrupts runs again from its beginning.
  After the last step, the kernel stays stopped, as the user wants.
- A step can run again. It reads first, makes its changes last, and calls nothing after them.
  Python (3.11 and later) checks for a ^C when a function begins, after a call of a C function, and
  at the end of each turn of a loop, but not at a return. So the ^C comes either before the changes
  or when the step has already been counted as done.
- stop() is the `__next__` of a generator, not a function. If a ^C came before GDB entered Python,
  Python raises KeyboardInterrupt at the first instruction of what GDB calls. In a function, that
  instruction is before any `try`. A generator continues inside the `try` where it waits.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from typing import Callable

from gdbfpu.errors import described

__all__ = ("Step", "interruptible", "postponed", "uninterrupted")

Step = Callable[[], bool]
"""A part of the work at a hit. It returns whether the kernel must stay stopped."""


def interruptible(steps: Sequence[Step], failed: Callable[[str], None]) -> Callable[[], bool]:
    """Return a stop() that runs all `steps` at each hit of a breakpoint, in this order.

    stop() returns whether the kernel must stay stopped: because a step says so, or because a ^C
    came. It never raises. If a step raises, `failed` gets the reason, and the next step follows.
    """
    stop = _stops(steps, failed).__next__
    stop()  # start the generator, which then waits for the first hit
    return stop


def _stops(steps: Sequence[Step], failed: Callable[[str], None]) -> Iterator[bool]:
    """At each hit, yield whether the kernel must stay stopped."""
    stay, done, count = False, len(steps), len(steps)
    while True:
        try:
            while done < count:
                stay |= _guarded(steps[done], failed)
                done += 1
            try:
                yield stay
                stay = False
            except KeyboardInterrupt:  # before the first step of this hit
                stay = True
            done = 0
        except KeyboardInterrupt:
            stay = True


def _guarded(step: Step, failed: Callable[[str], None]) -> bool:
    """Return what `step` returns, False when it fails; let a ^C through."""
    try:
        return step()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - stop() must never raise
        failed(described(error))
        return False


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Drop each ^C meanwhile. For what GDB calls once the kernel has stopped: ^C asks for no more.

    GDB would print a ^C there as a Python exception, and the work would be left half done.
    """
    _mask(signal.SIG_BLOCK)
    try:
        yield
    finally:
        _mask(signal.SIG_UNBLOCK)


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Raise a ^C that comes meanwhile at the end, when the work is done."""
    _mask(signal.SIG_BLOCK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))


def _mask(how: int) -> None:
    """Block or unblock SIGINT. Python raises a ^C that is pending when this is done."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.pthread_sigmask(how, (signal.SIGINT,))
