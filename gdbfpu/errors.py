# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors of gdbfpu: one root, and a child for each way in which a kernel can disappoint.

Every message is one line that a person can act on; the offending values are attributes.
"""

from __future__ import annotations

__all__ = (
    "CorruptState",
    "GdbFpuError",
    "MemoryFault",
    "MissingMember",
    "MissingSymbol",
    "MissingType",
    "UsageError",
)


class GdbFpuError(Exception):
    """The root of every error that gdbfpu raises on purpose."""


class MissingSymbol(GdbFpuError):
    """A symbol that the kernel should have is not in its symbol table."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the kernel has no symbol {name!r}")
        self.name = name


class MissingType(GdbFpuError):
    """Structs or unions are not described by the debugging information; `why` says the reason."""

    def __init__(self, *names: str, why: str = "") -> None:
        listed = ", ".join(map(repr, names))
        text = f"the debugging information has no type{'s' if len(names) > 1 else ''} {listed}"
        super().__init__(f"{text}: {why}" if why else text)
        self.name = names[0]
        self.names = names


class MissingMember(GdbFpuError):
    """A struct is there, but not the member that was asked for."""

    def __init__(self, type_name: str, member: str) -> None:
        super().__init__(f"struct {type_name} has no member {member!r}")
        self.type_name = type_name
        self.member = member


class MemoryFault(GdbFpuError):
    """Target memory at `address` (bytes, virtual) could not be read for `length` bytes."""

    def __init__(self, address: int, length: int) -> None:
        super().__init__(f"cannot read {length} bytes at {address:#x}")
        self.address = address
        self.length = length


class CorruptState(GdbFpuError):
    """The target's memory holds something that cannot be what it should be."""


class UsageError(GdbFpuError):
    """A command was given something it cannot take."""
