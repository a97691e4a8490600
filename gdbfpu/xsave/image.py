# SPDX-License-Identifier: GPL-2.0-or-later
"""A decoded image: its components, its registers, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.errors import UsageError
from gdbfpu.xsave.components.views import Register
from gdbfpu.xsave.sigframe import Frame

__all__ = ("ComponentState", "FpuImage")


@dataclass(frozen=True)
class ComponentState:
    """One component of an image.

    `offset` and `size` (bytes) are its place, None if unknown. `raw` has the bytes at this place,
    fewer if the image is cut. x87 and SSE have parts elsewhere, which `raw` leaves out.
    `in_use` is the header's bit. `changed` says whether the bytes differ from the initial state.
    """

    number: int
    name: str
    offset: int | None
    size: int | None
    raw: bytes
    in_use: bool
    changed: bool


@dataclass(frozen=True)
class FpuImage:
    """A decoded image.

    `format` is one of FORMATS, and `reason` says what decided it. `places` says whose offsets and
    sizes were used. `size` is in bytes. `xfeatures` and `xcomp_bv` (u64) are None for an image
    without an XSAVE header. `registers` are in reading order, with initial values where the
    header says so. `defects` has a line for each thing that is wrong. `frame` is what
    a signal frame says of itself. `notes` has a line for each thing that was assumed.
    """

    format: str
    reason: str
    places: str
    size: int
    xfeatures: int | None
    xcomp_bv: int | None
    components: tuple[ComponentState, ...]
    registers: tuple[Register, ...]
    defects: tuple[str, ...]
    frame: Frame | None = None
    notes: tuple[str, ...] = ()

    def register(self, name: str) -> Register:
        """Return register `name` (`ymm3`); raise UsageError if the image does not have it."""
        for register in self.registers:
            if register.name == name:
                return register
        raise UsageError(f"the image has no register {name!r}")

    def component(self, name: str) -> ComponentState:
        """Return component `name` (`AVX`, in any case); raise UsageError naming the choices."""
        for component in self.components:
            if component.name.lower() == name.lower():
                return component
        choices = ", ".join(component.name for component in self.components)
        raise UsageError(f"the image has no component {name!r}; it has {choices}")
