# SPDX-License-Identifier: GPL-2.0-or-later
"""Which types have to be there: a kernel says so itself, by its symbols and by its other types."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gdbfpu.layouts.types import StructLayout

__all__ = ("still_needed",)


def still_needed(
    found: Mapping[str, StructLayout], wanted: Collection[str], needed: Collection[str]
) -> set[str]:
    """Return those of the types `wanted` that have to be there and are not among `found`.

    These are `needed`, and what members of the types found are or point to.
    """
    referred = {member.type for struct in found.values() for member in struct.members}
    return (set(needed) | (referred & set(wanted))) - set(found)
