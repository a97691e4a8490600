# SPDX-License-Identifier: GPL-2.0-or-later
"""The names of the functions around addresses in the kernel."""

from __future__ import annotations

import functools

import gdb

from gdbfpu.dbg.language import evaluate, in_c, names_symbol

__all__ = ("name_around", "symbol_address")

_U64 = (1 << 64) - 1


@functools.lru_cache(maxsize=4096)
def name_around(address: int) -> str:
    """Return the name of the function, inlined or not, that the return `address` is in.

    This is the name that GDB gives to the caller's frame in a backtrace. It is the address itself
    if GDB does not know the function.
    """
    before = address - 1  # in the call, which may be the last instruction of its block
    block = gdb.block_for_pc(before)
    while block is not None and block.function is None:
        block = block.superblock
    if block is not None and block.function is not None:
        return str(block.function.name)
    shown = _symbol_at(before)
    return shown.split()[0] if " in section " in shown else f"{address:#x}"


def symbol_address(name: str) -> int | None:
    """Return where the linker put the symbol `name`, or None if GDB knows no such symbol."""
    if not names_symbol(name):
        return None
    try:
        value = evaluate(f"(unsigned long)&::{name}")
    except gdb.error:  # it is a local variable
        return None
    return _linked_address(name, int(value) & _U64)


def _linked_address(name: str, address: int) -> int:
    """Return where the linker put `name`, for which GDB has found `address`.

    A weak function that another one overrides stays in the kernel's text, without a symbol. DWARF
    describes both, and GDB may find the wrong one.
    """
    if _is_at(name, address):
        return address
    try:
        with in_c():
            places = gdb.decode_line(name)[1] or ()
    except gdb.error:
        return address
    return next((place.pc for place in places if _is_at(name, place.pc)), address)


def _is_at(name: str, address: int) -> bool:
    """Return whether the kernel's symbol table has `name` at `address`."""
    return _symbol_at(address).split(" in section ")[0] == name


def _symbol_at(address: int) -> str:
    with in_c():
        return str(gdb.execute(f"info symbol {address:#x}", False, True))
