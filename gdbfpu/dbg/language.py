# SPDX-License-Identifier: GPL-2.0-or-later
"""Expressions in C, whatever language the user has set.

GDB reads an expression in the language that the user has set, or in the language of the selected
frame. It looks for a name among the frame's local variables first. But a kernel may have Rust code,
and a local variable may have the same name as a symbol. So we make GDB read expressions about the
kernel as C, in which `::name` is a symbol of the program and never a local variable. We write
numbers in hexadecimal, because the meaning of decimal digits depends on `set input-radix`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gdb

__all__ = ("evaluate", "evaluate_register", "in_c")

_REGISTERS = ("auto", "c")  # languages in which `$rip = 0x10` is surely an assignment


@contextmanager
def in_c() -> Iterator[None]:
    """Have GDB read expressions, places and types as C in a block of code, then as before."""
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

    Each hit calls this, and changing the language twice would take several times as long as the
    rest. So this keeps the user's language if it writes an assignment to a register as C does.
    With `auto`, the language is that of the kernel's code.
    """
    if gdb.parameter("language") in _REGISTERS:
        return gdb.parse_and_eval(expression)
    return evaluate(expression)
