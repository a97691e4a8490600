# SPDX-License-Identifier: GPL-2.0-or-later
"""The arithmetic of a serial line: what a hit of a trace takes, and how many hits a second fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gdbfpu.doctor.finding import Answer, fine, trouble

__all__ = ("COSTS", "USB_SERIAL", "Cost", "Line", "arithmetic", "latency_timer")

USB_SERIAL = Path("/sys/bus/usb-serial/devices")
"""Where Linux lists its USB serial adapters, by the names of their ttys."""

_BITS = 10  # on the line for each byte: a start bit, eight data bits, a stop bit (8N1)
_USUAL = 16  # ms; what the driver ftdi_sio sets an adapter's timer to
_SHORT = 2  # ms; a timer up to here costs less than the line


@dataclass(frozen=True)
class Line:
    """A serial line: its rate in bit/s, and its adapter's latency timer in ms (0: none)."""

    baud: int
    latency: int = 0


@dataclass(frozen=True)
class Cost:
    """What a hit of a trace with `options` takes over KGDB.

    `packets` are those that GDB sends, `size` the bytes that pass both ways.
    """

    options: str
    packets: int
    size: int

    def rate(self, line: Line) -> float:
        """Return how many hits a second fit through `line` at most."""
        return 1 / (self.size * _BITS / line.baud + self.packets * line.latency / 1000)


COSTS = (
    Cost("", 11, 1372),
    Cost("--backtrace 0", 9, 1056),
    Cost("--state full --backtrace 8", 16, 7657),
)
"""Measured on Linux 5.10 with an XSAVE area of 2,696 bytes; tests/vm/test_doctor.py holds them."""


def arithmetic(line: Line, tty: str = "") -> Answer:
    """Return what fits through `line`; `tty` names an adapter whose latency timer was read.

    The timer makes the adapter keep the end of each reply back for so long.
    """
    costs = "; ".join(_told(cost, line) for cost in COSTS)
    seen = f"{line.baud} bit/s carry {line.baud // _BITS:,} bytes/s, and so at most: {costs}"
    if line.latency > _SHORT:
        return trouble(
            f"{tty} keeps each reply back for up to {line.latency} ms (its latency timer). {seen}. "
            f"Without the timer, {_hits(Line(line.baud))} hits/s by default",
            f"echo 1 | sudo tee {USB_SERIAL / tty / 'latency_timer'}",
        )
    if tty:
        return fine(f"{seen}; the latency timer of {tty} is {line.latency} ms")
    usual = _hits(Line(line.baud, _USUAL))
    return fine(f"{seen}; by a USB adapter with the usual latency timer of {_USUAL} ms, {usual}")


def _told(cost: Cost, line: Line) -> str:
    options = f"with {cost.options}" if cost.options else "by default"
    takes = f"{cost.size:,} bytes, {cost.packets} packets a hit"
    return f"{cost.rate(line):.3g} hits/s {options} ({takes})"


def _hits(line: Line) -> str:
    return f"{COSTS[0].rate(line):.3g}"


def latency_timer(tty: str, adapters: Path = USB_SERIAL) -> int | None:
    """Return the latency timer of the adapter `tty` in ms, None if it has none."""
    try:
        return int((adapters / tty / "latency_timer").read_text())
    except (OSError, ValueError):
        return None
