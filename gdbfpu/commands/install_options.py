# SPDX-License-Identifier: GPL-2.0-or-later
"""The options of `gdbfpu install-gdb` and `uninstall-gdb`: none."""

from __future__ import annotations

from gdbfpu.commands.parser import Options, Parser

__all__ = ("InstallOptions", "install_parser", "uninstall_parser")


class InstallOptions(Options):
    """`gdbfpu install-gdb` and `uninstall-gdb` have no options."""


def install_parser() -> Parser[InstallOptions]:
    """Return the parser of `gdbfpu install-gdb`."""
    return Parser(
        InstallOptions,
        prog="gdbfpu install-gdb",
        description="Add a line to your GDB init file, so that `source gdbfpu` works in any\n"
        "directory. It takes the place of the line of another installation.",
    )


def uninstall_parser() -> Parser[InstallOptions]:
    """Return the parser of `gdbfpu uninstall-gdb`."""
    return Parser(
        InstallOptions,
        prog="gdbfpu uninstall-gdb",
        description="Remove what `gdbfpu install-gdb` added to your GDB init file.\n"
        "Do this before you uninstall gdbfpu: else GDB warns of a missing folder when it starts.",
    )
