# SPDX-License-Identifier: GPL-2.0-or-later
"""Take one hit of an event file as a whole: its line, its registers, what later lines say of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from gdbfpu.errors import UsageError
from gdbfpu.fpu.evidence import Use
from gdbfpu.report.event_hits import EventHit, HitReader, is_hit, use_of
from gdbfpu.report.event_images import ImageReader, live_registers
from gdbfpu.report.event_lines import EventLines, Header
from gdbfpu.report.event_values import S32, U64, hexadecimal, listed, number, string
from gdbfpu.text.printable import one_line
from gdbfpu.xsave.image import FpuImage

__all__ = ("WholeHit", "WholeHits", "numbered_hits")

_MAX_TEXT = 512  # characters of a finding


@dataclass
class WholeHit:
    """A hit. `seq` is its number, `fpu` the address of struct fpu, `caller` the running task.

    - `image`: the registers; None without `--state full`, or if there was no image.
    - `xcomp_bv`: None with `--state none`.
    - `live`: the names of the registers in `image` that come from the CPU, not from memory.
    - `use`: what is known about the task after the hit, from its signal frame if one was read.
    - `findings`: what the audit of the call found; None if the call was not audited.
    """

    seq: int
    hit: EventHit
    fpu: int
    xcomp_bv: int | None
    caller: str
    caller_pid: int
    image: FpuImage | None
    use: Use | None
    findings: tuple[str, ...] | None = None
    live: tuple[str, ...] = ()

    @property
    def registers(self) -> FpuImage:
        """Return the registers; raise UsageError if they were not recorded."""
        if self.image is None:
            raise UsageError(
                f"hit {self.seq} has no registers: record them with `fpu-trace on --state full`"
            )
        return self.image


def numbered_hits(lines: EventLines, numbers: Collection[int]) -> list[WholeHit]:
    """Return the hits with these `numbers`, in their order; raise UsageError if one is missing."""
    found: dict[int, WholeHit] = {}
    reader, last = WholeHits(lines.header), 0

    def take(event: dict[str, Any]) -> None:
        nonlocal last
        if is_hit(event):
            last = number("seq", event["seq"], U64)
            if last in numbers:
                found[last] = reader.read(event)
        elif "use_of" in event and event["use_of"] in found:
            found[event["use_of"]].use = use_of(event)
        elif "of" in event and event["of"] in found:
            found[event["of"]].findings = _findings(event)

    lines.each(take)
    if missing := [seq for seq in numbers if seq not in found]:
        why = "; ".join((f"the last is {last}", *lines.defects()))
        raise UsageError(f"{lines.name} has no hit {missing[0]}: {why}")
    return [found[seq] for seq in numbers]


class WholeHits:
    """Reads hits whole. `header` is that of their file."""

    def __init__(self, header: Header) -> None:
        self._reader = HitReader()
        self._images = ImageReader(header)

    def read(self, event: dict[str, Any]) -> WholeHit:
        """Return the hit in `event`; raise CorruptState, KeyError or TypeError."""
        hit, xcomp_bv, raw = self._reader.read(event), event["xcomp_bv"], event.get("raw")
        live = live_registers(event)
        return WholeHit(
            number("seq", event["seq"], U64),
            hit,
            hexadecimal("fpu", event["fpu"]),
            None if xcomp_bv is None else hexadecimal("xcomp_bv", xcomp_bv),
            one_line(string("caller_comm", event["caller_comm"])),
            number("caller_pid", event["caller_pid"], S32),
            None if raw is None else self._images.read_live(string("raw", raw), live),
            hit[2].use,
            live=tuple(live),
        )


def _findings(event: dict[str, Any]) -> tuple[str, ...]:
    return tuple(_finding(one) for one in listed("findings", event["findings"]))


def _finding(one: dict[str, Any]) -> str:
    rule, why = string("rule", one["rule"]), string("why", one["why"])
    return one_line(f"{rule}: {why}")[:_MAX_TEXT]
