# SPDX-License-Identifier: GPL-2.0-or-later
"""Find out from a kernel's symbols and from its other types which types it must have."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gdbfpu.layouts.types import StructLayout

__all__ = ("still_needed",)


def still_needed(
    found: Mapping[str, StructLayout], wanted: Collection[str], needed: Collection[str]
) -> set[str]:
    """Return the types that must exist but are not in `found`.

    A type must exist if it is in `needed`. A type in `wanted` must also exist if a member of a
    found type has this type or points to it.
    """
    referred = {member.type for struct in found.values() for member in struct.members}
    return (set(needed) | (referred & set(wanted))) - set(found)
