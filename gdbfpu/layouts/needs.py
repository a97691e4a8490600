# SPDX-License-Identifier: GPL-2.0-or-later
"""Find out which types a kernel must have. Its symbols and its other types tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gdbfpu.layouts.types import StructLayout

__all__ = ("still_needed",)


def still_needed(
    found: Mapping[str, StructLayout], wanted: Collection[str], needed: Collection[str]
) -> set[str]:
    """Return the types that must exist but are not in `found`.

    These are the types `needed`, and those of `wanted` that a member of a found type is or points
    to.
    """
    referred = {member.type for struct in found.values() for member in struct.members}
    return (set(needed) | (referred & set(wanted))) - set(found)
