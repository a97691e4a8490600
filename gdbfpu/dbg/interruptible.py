# SPDX-License-Identifier: GPL-2.0-or-later
"""A breakpoint's stop() that a ^C neither cuts short nor makes do anything twice.

A user presses ^C while hits come in, and GDB is then mostly inside stop(). GDB 13 hands the
^C to Python, which raises KeyboardInterrupt at the next call that it makes, wherever that is. Left
alone that loses the hit; or the kernel is not resumed, and GDB steps over the breakpoint, which
ends GDB over KGDB (see gdbfpu.probes.resume). So stop() is a list of steps, and three things hold:

- Every step of a hit is done. A ^C lets the step under way begin again, and the kernel stays
  stopped after the last one, as the user wants.
- A step can be made again. It reads first, changes what it changes last, and calls nothing after
  that. Python (3.11 and later) looks for a ^C when a function begins, after one written in C, and
  at the end of a loop's turn, but not at a return. So either the ^C comes before the change, or
  the step is done and taken as done.
- stop() is the `__next__` of a generator, not a function. If a ^C came before GDB entered Python,
  Python raises KeyboardInterrupt at the first instruction of what GDB calls. In a function, that
  instruction is before any `try`. A generator goes on inside the `try` in which it waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable

__all__ = ("Step", "interruptible")

Step = Callable[[], bool]
"""A part of the work at a hit; returns whether the kernel must stay stopped."""


def interruptible(steps: Sequence[Step], failed: Callable[[str], None]) -> Callable[[], bool]:
    """Return a stop() for a breakpoint that makes all `steps` at each hit, in this order.

    It returns whether the kernel must stay stopped: one of the steps wants it, or a ^C came.
    It never raises. If a step raises, `failed` gets the reason, and the next step follows.
    """
    stop = _stops(steps, failed).__next__
    stop()  # goes as far as to wait for the first hit
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
            except KeyboardInterrupt:  # before anything of this hit is done
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
    except BaseException as error:  # noqa: BLE001 - the one place that may, in stop()
        failed(f"{type(error).__name__}: {error}".splitlines()[0])
        return False
