# SPDX-License-Identifier: GPL-2.0-or-later
"""An FpuImage as text: a table for people, an object for JSON."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from decimal import Decimal
from itertools import groupby
from typing import Any

from gdbfpu.text.fit import Fit
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.text.table import table
from gdbfpu.xsave.components.float80 import neighbours
from gdbfpu.xsave.components.views import Register, View
from gdbfpu.xsave.features import describe
from gdbfpu.xsave.image import ComponentState, FpuImage
from gdbfpu.xsave.sigframe import Frame

__all__ = ("register_row", "render_table", "summary", "to_json", "value_lines")

_INDENT = " " * 11  # aligns broken lines of the summary with the text after the first word
_BYTES_PER_LINE = 16
_MOST_WRITTEN_OUT = 8  # equal items in a row; more of them are counted
_WIDE_VIEWS = ("double", "float", "int32")
_HIDDEN_VIEWS = {"value", "uint64"}  # the table shows these in hexadecimal


def to_json(image: FpuImage, components: Iterable[str] | None = None) -> dict[str, Any]:
    """Return `image` as an object for `json.dumps`; docs/decode.schema.json describes it.

    If `components` (names) are given, other components are left out. Raises UsageError if the
    image lacks one of them.
    """
    chosen = _chosen(image, components)
    return {
        "format": image.format,
        "reason": image.reason,
        "places": image.places,
        "size": image.size,
        "xfeatures": _hex(image.xfeatures),
        "xcomp_bv": _hex(image.xcomp_bv),
        "defects": list(image.defects),
        "notes": list(image.notes),
        "frame": _frame_json(image.frame) if image.frame else None,
        "components": [_component_json(component) for component in chosen],
        "registers": {
            register.name: {
                "bytes": register.raw.hex(),
                "initial": register.initial,
                **register.views,
            }
            for register in _registers(image, chosen)
        },
    }


def render_table(
    image: FpuImage,
    components: Iterable[str] | None = None,
    sources: Mapping[str, str] | None = None,
    screen: Screen = PLAIN,
) -> str:
    """Return `image` as text: what it is, its defects, its components and its registers.

    If `components` (names) are given, other components are left out. Raises UsageError if the
    image lacks one of them.
    `sources` says for each register, by name, where its value comes from.
    """
    chosen = _chosen(image, components)
    parts = ("component", "number", "offset", "size", "header", "bytes")
    states = table([_component_row(c) for c in chosen], parts)
    rows: list[tuple[str, ...]] = [register_row(register) for register in _registers(image, chosen)]
    headers: tuple[str, ...] = ("register", "value", "bytes in memory order")
    if sources is not None:
        rows = [(*row, sources[row[0]]) for row in rows]
        headers += ("from",)
    registers = table(rows, headers, (), screen, Fit(wrap=headers[1:]))
    return "\n\n".join((screen.wrapped(summary(image), _INDENT), states, registers))


def value_lines(register: Register) -> tuple[str, ...]:
    """Return the value of `register` in words, one or more lines."""
    views = register.views
    if "decimal" in views:
        text = f"{views['decimal']}  {views['hexfloat']}  {views['class']}, {views['tag']}"
        return (text,)
    if any(name.endswith("_int8") for name in views):
        return _vector_lines(register)
    shown = ((name, view) for name, view in views.items() if name not in _HIDDEN_VIEWS)
    return tuple(_named_view(name, view) for name, view in shown)


def _chosen(image: FpuImage, names: Iterable[str] | None) -> tuple[ComponentState, ...]:
    wanted = tuple(names or ())
    return tuple(image.component(name) for name in wanted) if wanted else image.components


def _registers(image: FpuImage, chosen: tuple[ComponentState, ...]) -> tuple[Register, ...]:
    numbers = {component.number for component in chosen}
    return tuple(register for register in image.registers if register.component in numbers)


def _hex(value: int | None) -> str | None:
    return None if value is None else f"{value:#x}"


def _frame_json(frame: Frame) -> dict[str, Any]:
    return {**asdict(frame), "xfeatures": _hex(frame.xfeatures)}


def _component_json(component: ComponentState) -> dict[str, Any]:
    return {
        "number": component.number,
        "name": component.name,
        "offset": component.offset,
        "size": component.size,
        "in_use": component.in_use,
        "changed": component.changed,
    }


def summary(image: FpuImage) -> str:
    """Return what the image is, a line for each thing that it says of itself."""
    lines = [f"format     {image.format} ({image.reason}), {image.size} bytes"]
    if image.xfeatures is not None and image.xcomp_bv is not None:
        lines.append(f"xfeatures  {image.xfeatures:#x} {describe(image.xfeatures)}")
        lines.append(f"xcomp_bv   {image.xcomp_bv:#x}")
    lines.append(f"places     {image.places}")
    if image.frame:
        task = "32-bit" if image.frame.ia32 else "64-bit"
        lines.append(f"frame      of a {task} task, {image.frame.xstate_size} bytes of state")
    lines += [f"defect     {defect}" for defect in image.defects]
    lines += [f"note       {note}" for note in image.notes]
    return "\n".join(lines)


def _component_row(component: ComponentState) -> tuple[str, ...]:
    return (
        component.name,
        str(component.number),
        "?" if component.offset is None else str(component.offset),
        "?" if component.size is None else str(component.size),
        "in use" if component.in_use else "initial",
        "changed" if component.changed else "initial",
    )


def register_row(register: Register) -> tuple[str, str, str]:
    """Return the name of `register`, its value in words, and its bytes in memory order."""
    raw = register.raw
    data = [
        raw[start : start + _BYTES_PER_LINE].hex() for start in range(0, len(raw), _BYTES_PER_LINE)
    ]
    if not any(raw) and len(data) > 1:
        data = [f"{len(raw)} bytes of zero"]
    return register.name, "\n".join(value_lines(register)), "\n".join(data)


def _vector_lines(register: Register) -> tuple[str, ...]:
    """Return a vector as doubles, floats and 32-bit integers; `0` when it is all zero."""
    if not any(register.raw):
        return ("0",)
    return tuple(
        _named_view(name, view)
        for wanted in _WIDE_VIEWS
        for name, view in register.views.items()
        if name.endswith(f"_{wanted}")
    )


def _named_view(name: str, view: View) -> str:
    return f"{name} {_text(view, single=name.endswith('float') and 'bfloat' not in name)}"


def _text(view: View, single: bool) -> str:
    if isinstance(view, tuple):
        runs = [(text, len([*run])) for text, run in groupby(_text(v, single) for v in view)]
        items = (
            f"{text} <{n} times>" if n > _MOST_WRITTEN_OUT else ", ".join([text] * n)
            for text, n in runs
        )
        return f"{{{', '.join(items)}}}"
    if isinstance(view, bool):
        return "yes" if view else "no"
    if isinstance(view, float):
        return _shortest_single(view) if single else repr(view)
    return str(view)


def _shortest_single(value: float) -> str:
    """Return the shortest decimal that reads back as the single-precision number `value`."""
    exact, number = struct.pack("<f", value), Decimal(value)
    texts = (
        f"{float(short):.{digits}g}"
        for digits in range(1, 10)
        for short in neighbours(number, digits)
    )
    return next((text for text in texts if _packs_to(text, exact)), repr(value))


def _packs_to(text: str, exact: bytes) -> bool:
    try:
        return struct.pack("<f", float(text)) == exact
    except OverflowError:  # rounded up beyond the largest single
        return False
