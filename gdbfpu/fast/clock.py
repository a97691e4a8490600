# SPDX-License-Identifier: GPL-2.0-or-later
"""From the CPU's time-stamp counter to the host's clock."""

from __future__ import annotations

__all__ = ("Clock",)


class Clock:
    """Turns time-stamp counters of one run of the kernel into CLOCK_REALTIME in ns.

    `khz` is the counter's rate, `tsc` its value at the time `ns`. The counter of an emulated CPU
    stands still while the machine is stopped, that of another CPU goes on. So each run of the
    kernel, from `resumed` to `stopped`, tells which it is: its newest record is near its end.
    No time outside the run is returned.
    """

    def __init__(self, khz: int, tsc: int, ns: int) -> None:
        self._khz = khz
        self._tsc = tsc
        self._ns = ns
        self._paused = 0  # ns in which the kernel was stopped
        self._run = (ns, ns)

    def resumed(self, ns: int) -> None:
        """Note that the kernel runs from `ns` on."""
        self._paused += max(0, ns - self._run[1])
        self._run = (ns, ns)

    def stopped(self, ns: int) -> None:
        """Note that the kernel has run until `ns`."""
        self._run = (self._run[0], max(ns, self._run[0]))

    def ns(self, tsc: int, newest: int) -> int:
        """Return the time of `tsc`; `newest` is the last counter that this run has recorded."""
        began, ended = self._run
        late = ended - self._linear(newest)
        paused = self._paused if abs(late - self._paused) < abs(late) else 0
        ns = self._linear(tsc) + paused
        return min(max(ns, began), ended)

    def _linear(self, tsc: int) -> int:
        return self._ns + (tsc - self._tsc) * 1_000_000 // self._khz
