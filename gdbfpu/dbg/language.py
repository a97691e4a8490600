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
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import gdb

__all__ = ("evaluate", "evaluate_register", "in_c", "names_symbol")

_REGISTERS = ("auto", "c")  # languages in which `$rip = 0x10` is surely an assignment


def in_c() -> AbstractContextManager[None]:
    """Have GDB read expressions, places and types as C in a block of code, then as before."""
    return _reading("c")


@contextmanager
def _reading(language: str) -> Iterator[None]:
    before = gdb.parameter("language")
    if before == language:
        yield
        return
    gdb.execute(f"set language {language}", False, True)
    try:
        yield
    finally:
        gdb.execute(f"set language {before}", False, True)


def evaluate(expression: str) -> Any:
    """Return the value of `expression` in C; raise gdb.error."""
    with in_c():
        return gdb.parse_and_eval(expression)


def names_symbol(name: str) -> bool:
    """Return whether `name` is a symbol of the program, or a local variable.

    The name is read, but not evaluated. If it is no symbol, GDB's parser of C looks for a source
    file of that name, which takes 10 ms in a kernel. Its parser of D does not. `info address` would
    do, but it fails if there is no symbol, and gdb.execute() must not fail within stop(): that ends
    the user's `continue`, even if the error is handled.
    """
    with _reading("d"):
        try:
            gdb.parse_and_eval(f"1 ? 1 : {name}")
        except gdb.error:
            return False
    return True


def evaluate_register(expression: str) -> Any:
    """Return the value of `expression`, which names only registers; raise gdb.error.

    Each hit calls this, and changing the language twice would take several times as long as the
    rest. So this keeps the user's language if it writes an assignment to a register as C does.
    With `auto`, the language is that of the kernel's code.
    """
    if gdb.parameter("language") in _REGISTERS:
        return gdb.parse_and_eval(expression)
    return evaluate(expression)
