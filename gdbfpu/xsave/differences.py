# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare two images register by register."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gdbfpu.text.fit import Fit
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.text.table import table
from gdbfpu.xsave.components.views import Register
from gdbfpu.xsave.image import FpuImage
from gdbfpu.xsave.text import value_lines

__all__ = ("difference_table", "differing")


def difference_table(
    one: FpuImage,
    other: FpuImage,
    names: Sequence[str],
    components: Sequence[str] = (),
    screen: Screen = PLAIN,
) -> str:
    """Return a table of the registers that differ. `names` are the headings of both images.

    If `components` (names) are given, other components are left out. Raises UsageError if an image
    lacks one of them.
    """
    rows = [(name, _value(a), _value(b)) for name, a, b in differing(one, other, components)]
    if not rows:
        return "no register differs"
    return table(rows, ("register", *names), (), screen, Fit(wrap=tuple(names)))


def differing(
    one: FpuImage, other: FpuImage, components: Sequence[str] = ()
) -> Iterator[tuple[str, Register | None, Register | None]]:
    """Yield the name and both values of each register that differs; None: not in that image."""
    left, right = _chosen(one, components), _chosen(other, components)
    for name in {**left, **right}:
        a, b = left.get(name), right.get(name)
        if a is None or b is None or a.raw != b.raw:
            yield name, a, b


def _chosen(image: FpuImage, components: Sequence[str]) -> dict[str, Register]:
    numbers = {image.component(name).number for name in components}
    return {r.name: r for r in image.registers if not numbers or r.component in numbers}


def _value(register: Register | None) -> str:
    return "\n".join(value_lines(register)) if register else "-"
