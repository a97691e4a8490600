# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors of gdbfpu: one base class, and a subclass for each kind of failure.

Each message is one line that a person can act on. The values in a message are attributes, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = (
    "LEFT_OUT",
    "CorruptState",
    "GdbFpuError",
    "MemoryFault",
    "MissingMember",
    "MissingSymbol",
    "MissingType",
    "NoAnswer",
    "NoTypes",
    "UsageError",
    "WrongKernel",
    "described",
    "writing",
)

LEFT_OUT = "left out of the dump by its filter (makedumpfile -d)"
"""The reason of a MemoryFault at memory that the machine had and the dump has not."""


class GdbFpuError(Exception):
    """Base class of all errors that gdbfpu raises on purpose."""


class MissingSymbol(GdbFpuError):
    """The kernel's symbol table has no symbol of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the kernel has no symbol {name!r}")
        self.name = name


class MissingType(GdbFpuError):
    """The debugging information does not describe these structs or unions; `why` says why."""

    def __init__(self, *names: str, why: str = "") -> None:
        listed = ", ".join(map(repr, names))
        text = f"the debugging information has no type{'s' if len(names) > 1 else ''} {listed}"
        super().__init__(f"{text}: {why}" if why else text)
        self.name = names[0]
        self.names = names


class MissingMember(GdbFpuError):
    """The struct exists, but it has no such member."""

    def __init__(self, type_name: str, member: str) -> None:
        super().__init__(f"struct {type_name} has no member {member!r}")
        self.type_name = type_name
        self.member = member


class NoTypes(GdbFpuError):
    """A kernel's file has no types at all."""


class WrongKernel(GdbFpuError):
    """The running kernel is not that of vmlinux; `build_id` (hex) is its own, if it shows one."""

    def __init__(self, message: str, build_id: str = "") -> None:
        super().__init__(message)
        self.build_id = build_id


class MemoryFault(GdbFpuError):
    """Target memory cannot be read: `length` bytes at the virtual address `address`.

    `why` is the reason where it is known, such as LEFT_OUT.
    """

    def __init__(self, address: int, length: int, why: str = "") -> None:
        text = f"cannot read {length} bytes at {address:#x}"
        super().__init__(f"{text}: {why}" if why else text)
        self.address = address
        self.length = length
        self.why = why


class NoAnswer(GdbFpuError):
    """The stub does not answer any more, so nothing else can be read either."""

    def __init__(self) -> None:
        super().__init__("the stub does not answer: is the machine still there?")


class CorruptState(GdbFpuError):
    """The target's memory holds a value that cannot be right."""


class UsageError(GdbFpuError):
    """A command cannot use what it was given."""


def described(error: BaseException) -> str:
    """Return the kind of an `error` that nobody foresaw, and the first line of what it says.

    GDB's own errors quote what a stub says, which may be commands to a terminal.
    """
    line = f"{type(error).__name__}: {error}".splitlines()[0]
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise UsageError for an OSError in the block of code, which writes the new file `path`."""
    try:
        yield
    except FileExistsError as error:
        raise UsageError(f"{path} exists already: name a new file or remove it") from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
