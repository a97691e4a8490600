# SPDX-License-Identifier: GPL-2.0-or-later
"""Where KGDB refuses breakpoints: the code that handles breakpoints, which would recurse.

With CONFIG_KGDB_HONOUR_BLOCKLIST (5.10 and later), KGDB takes no breakpoint where kprobes take
none. Sources: within_kprobe_blacklist() and populate_kprobe_blacklist() in kernel/kprobes.c,
arch_populate_kprobe_blacklist() in arch/x86/kernel/kprobes/core.c. Single functions that
NOKPROBE_SYMBOL marks are not looked up here.
"""

from __future__ import annotations

from gdbfpu.target import Memory

__all__ = ("honours_blocklist", "refused")

_CALL = 0xE8  # a near call with a 32-bit displacement
_CALL_SIZE = 5
_CHECK = "kgdb_validate_break_address"
_LIST = "within_kprobe_blacklist"
_CODE = 128  # bytes of _CHECK to search; the call is near its beginning
_RANGES = ("__noinstr_text", "__kprobes_text", "__entry_text")


def honours_blocklist(target: Memory) -> bool:
    """Return whether KGDB in this kernel looks at the blocklist; raise MemoryFault."""
    check, listed = target.symbol_address(_CHECK), target.symbol_address(_LIST)
    if check is None or listed is None:
        return False
    code = target.read_memory(check, _CODE)
    return any(
        code[at] == _CALL and _destination(code, at, check) == listed
        for at in range(len(code) - _CALL_SIZE + 1)
    )


def _destination(code: bytes, at: int, address: int) -> int:
    displacement = int.from_bytes(code[at + 1 : at + _CALL_SIZE], "little", signed=True)
    return address + at + _CALL_SIZE + displacement


def refused(target: Memory, address: int) -> bool:
    """Return whether `address` is in a part of the kernel's text on the blocklist."""
    for name in _RANGES:
        start, end = (target.symbol_address(f"{name}_{edge}") for edge in ("start", "end"))
        if start is not None and end is not None and start <= address < end:
            return True
    return False
