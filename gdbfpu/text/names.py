# SPDX-License-Identifier: GPL-2.0-or-later
"""Names that a user types for a task: the name as it is, or a glob."""

from __future__ import annotations

from fnmatch import fnmatchcase

__all__ = ("named",)


def named(comm: str, wanted: str) -> bool:
    """Return whether `wanted` is the task's name `comm`, or a glob that matches it.

    The name comes first: as a glob, `[gpu] Update` matches `g Update`, but not the name itself.
    """
    return comm == wanted or fnmatchcase(comm, wanted)
