# SPDX-License-Identifier: GPL-2.0-or-later
"""VMCOREINFO, what a kernel says of itself for dumps: a text of lines `NAME=VALUE`.

Source: the kernel's Documentation/admin-guide/kdump/vmcoreinfo.rst.
"""

from __future__ import annotations

import re

__all__ = ("names_phys_base", "top_table", "with_top_table")

_KERNELS = b"SYMBOL(swapper_pg_dir)"
# `makedumpfile -g` writes the symbol that vmlinux has: init_level4_pgt up to 4.12.
_OTHERS = (b"SYMBOL(init_top_pgt)", b"SYMBOL(init_level4_pgt)")


def with_top_table(text: bytes) -> bytes:
    """Return `text` with a line for swapper_pg_dir.

    `makedumpfile -g` writes this symbol under another name.
    """
    names = (_KERNELS, *_OTHERS)
    values = {name: value for name in names if (value := _value(text, name)) is not None}
    if _KERNELS in values or not values:
        return text
    return text.rstrip(b"\n\0") + b"\n" + _KERNELS + b"=" + next(iter(values.values())) + b"\n"


def top_table(text: bytes) -> int | None:
    """Return the virtual address of the kernel's top page table, or None if it is not said."""
    value = _value(text, _KERNELS)
    return None if value is None else int(value, 16)


def names_phys_base(text: bytes) -> bool:
    """Return whether `text` says where the kernel is in physical memory, as it does since 4.10."""
    return _value(text, b"NUMBER(phys_base)") is not None


def _value(text: bytes, name: bytes) -> bytes | None:
    """Return the digits after `name`, or None."""
    found = re.search(b"^" + re.escape(name) + rb"=(-?[0-9a-f]{1,20})$", text, re.MULTILINE)
    return found[1] if found else None
