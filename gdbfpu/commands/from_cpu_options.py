# SPDX-License-Identifier: GPL-2.0-or-later
"""The option of commands that can ask the stopped CPU for its registers."""

from __future__ import annotations

import argparse
from typing import Any

from gdbfpu.commands.parser import Parser

__all__ = ("add_from_cpu",)


def add_from_cpu(parser: Parser[Any]) -> argparse.Action:
    """Add the option and return it."""
    return parser.add("--from-cpu", action="store_true",
        help="over KGDB, have the stopped CPU tell registers that KGDB hides: it executes a few of "
        "the kernel's own instructions, and all that this writes is put back (default: %(default)s)"
        )  # fmt: skip
