# SPDX-License-Identifier: GPL-2.0-or-later
"""Words that complete the values of options. What holds them is imported when it is needed."""

from __future__ import annotations

__all__ = ("components", "functions")


def components() -> tuple[str, ...]:
    """Return the names of the state components."""
    from gdbfpu.xsave.features import COMPONENTS

    return tuple(component.name for component in COMPONENTS)


def functions() -> tuple[str, ...]:
    """Return the functions in the catalogue of probes."""
    from gdbfpu.probes.catalogue import CATALOGUE

    return tuple(probe.function for probe in CATALOGUE)
