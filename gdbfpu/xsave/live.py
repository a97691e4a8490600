# SPDX-License-Identifier: GPL-2.0-or-later
"""Registers as a CPU has them now, and where an image of the same task has its older copy.

Such registers are a mapping of names to bytes in memory order. The names are those of an FpuImage.
A vector register has only its widest name: `ymm3` has the bytes of `xmm3`, too. `ftw` is the
abridged tag byte, `st0` has ten bytes.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from gdbfpu.errors import CorruptState
from gdbfpu.xsave.area import EXTENDED_OFFSET, HEADER_OFFSET, Span
from gdbfpu.xsave.features import APX, AVX, FPSSE, HI16_ZMM, OPMASK, SSE, X87, ZMM_HI256
from gdbfpu.xsave.legacy import FXSAVE_PLACES, INIT_FCW, MXCSR_OFFSET, XMM_END, XMM_OFFSET

__all__ = ("Placed", "overlaid", "placed", "source_of")

_VECTOR = re.compile(r"([xyz])mm(\d+)")
_WIDTHS = {"x": 16, "y": 32, "z": 64}  # bytes of a vector register by its letter
_SIZES = {
    **dict.fromkeys(FXSAVE_PLACES, 16),
    "fcw": 2,
    "fsw": 2,
    "ftw": 1,
    "mxcsr": 4,
    **{f"st{i}": 10 for i in range(8)},
    **{f"k{i}": 8 for i in range(8)},
    **{f"r{i}": 8 for i in range(16, 32)},
    **{f"ymm{i}": 32 for i in range(16)},
    **{f"zmm{i}": 64 for i in range(32)},
}
_PARTS = {2: "half", 4: "quarter"}


class Placed(NamedTuple):
    """Bytes of the register `name`, which component `number` has at offset `at` of an image."""

    name: str
    number: int
    at: int
    data: bytes


def placed(registers: Mapping[str, bytes], spans: Iterable[Span]) -> Iterator[Placed]:
    """Yield where an image whose components are at `spans` has the `registers`, part by part.

    A part whose component the image does not have is left out. Raises CorruptState for a name or
    a size that no register has.
    """
    starts = {span.number: span.offset for span in spans}
    for name, value in registers.items():
        if _SIZES.get(name) != len(value):
            raise CorruptState(f"no register is called {name!r} and has {len(value)} bytes")
        for number, offset, data in _parts(name, value):
            if number in starts:
                at = offset if FPSSE >> number & 1 else starts[number] + offset
                yield Placed(name, number, at, data)


def _parts(name: str, value: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield component, offset and bytes. x87's and SSE's offsets are in the image."""
    vector = _VECTOR.fullmatch(name)
    if vector is None and name in FXSAVE_PLACES:
        yield SSE if name == "mxcsr" else X87, FXSAVE_PLACES[name], value
    elif vector is None:
        number = int(name[1:])
        yield (OPMASK, 8 * number, value) if name[0] == "k" else (APX, 8 * (number - 16), value)
    elif int(vector[2]) < 16:
        i = int(vector[2])
        halves = ((SSE, XMM_OFFSET, 0, 16), (AVX, 0, 16, 32), (ZMM_HI256, 0, 32, 64))
        for component, base, start, end in halves[: "xyz".index(vector[1]) + 1]:
            yield component, base + (end - start) * i, value[start:end]
    else:
        yield HI16_ZMM, 64 * (int(vector[2]) - 16), value


def overlaid(image: bytes, spans: Iterable[Span], registers: Mapping[str, bytes]) -> bytes:
    """Return `image` with `registers` in their places, and their components marked as in use.

    A component that was not in use gets its initial values first: what memory has of it may be
    stale. Raises CorruptState as `placed` does.
    """
    result, spans = bytearray(image), [span for span in spans if span.end <= len(image)]
    header = len(result) >= EXTENDED_OFFSET
    used = int.from_bytes(result[HEADER_OFFSET : HEADER_OFFSET + 8], "little") if header else FPSSE
    for part in placed(registers, spans):
        if not used >> part.number & 1:
            _initialise(result, next(span for span in spans if span.number == part.number))
            used |= 1 << part.number
        result[part.at : part.at + len(part.data)] = part.data
    if header:
        result[HEADER_OFFSET : HEADER_OFFSET + 8] = used.to_bytes(8, "little")
    return bytes(result)


def _initialise(image: bytearray, span: Span) -> None:
    """Write the initial values of a component; MXCSR, which no header bit governs, stays."""
    if span.number == X87:
        image[:MXCSR_OFFSET] = INIT_FCW.to_bytes(MXCSR_OFFSET, "little")
        image[FXSAVE_PLACES["st0"] : XMM_OFFSET] = bytes(XMM_OFFSET - FXSAVE_PLACES["st0"])
    elif span.number == SSE:
        image[XMM_OFFSET:XMM_END] = bytes(XMM_END - XMM_OFFSET)
    else:
        image[span.offset : span.end] = bytes(span.size)


def source_of(register: str, live: Container[str]) -> str:
    """Return where `register` was read, if a CPU showed the registers `live`.

    This is `CPU`, `memory`, or `low half CPU, rest memory` (or `quarter`).
    """
    vector = _VECTOR.fullmatch(register)
    if vector is None:
        shared = register[:2] == "mm" and "st0" in live  # MM0 to MM7 are in ST(0) to ST(7)
        return "CPU" if register in live or shared else "memory"
    shown = max((_WIDTHS[w] for w in _WIDTHS if f"{w}mm{vector[2]}" in live), default=0)
    wanted = _WIDTHS[vector[1]]
    if not shown:
        return "memory"
    return "CPU" if shown >= wanted else f"low {_PARTS[wanted // shown]} CPU, rest memory"
