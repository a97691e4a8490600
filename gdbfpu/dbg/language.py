# SPDX-License-Identifier: GPL-2.0-or-later
"""Expressions in C, whatever language the user has set.

GDB reads an expression in the language that is set, or in that of the selected frame, and finds
the frame's local variables first. A kernel has Rust code, too, and a frame may have a variable
called as a symbol is. So expressions about the kernel are read as C, in which `::name` is a
symbol of the program and never a local one. Numbers in them are hexadecimal: what decimal digits
mean depends on `set input-radix`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gdb

__all__ = ("evaluate", "evaluate_register", "in_c")

_REGISTERS = ("auto", "c")  # languages in which `$rip = 0x10` surely is an assignment


@contextmanager
def in_c() -> Iterator[None]:
    """Have GDB read expressions, places and types as C, then as before."""
    before = gdb.parameter("language")
    if before == "c":
        yield
        return
    gdb.execute("set language c", False, True)
    try:
        yield
    finally:
        gdb.execute(f"set language {before}", False, True)


def evaluate(expression: str) -> Any:
    """Return the value of `expression` in C; raise gdb.error."""
    with in_c():
        return gdb.parse_and_eval(expression)


def evaluate_register(expression: str) -> Any:
    """Return the value of `expression`, which names only registers; raise gdb.error.

    Each hit calls this, so it leaves the language as it is if that can assign as C does. To set a
    language and to set it back takes several times as long. With `auto` the language is that of
    the kernel's code.
    """
    if gdb.parameter("language") in _REGISTERS:
        return gdb.parse_and_eval(expression)
    return evaluate(expression)
