# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the sizes and offsets of components from text.

The text is CPUID leaf 0xD as `cpuid -r` prints it, or the kernel's own tables.
The kernel's tables are lines of its log (`x86/fpu: xstate_offset[2]: 576, xstate_sizes[2]: 256`),
or its arrays `xstate_offsets` and `xstate_sizes` as GDB and crash print them.
Source: Intel SDM volume 2, CPUID, leaf 0DH; print_xstate_offset_size() in the kernel's
arch/x86/kernel/fpu/xstate.c.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gdbfpu.errors import UsageError
from gdbfpu.xsave.places import Tables

__all__ = ("read_tables",)

_WORD = "0x([0-9a-f]{8})"
_LEAF = re.compile(
    rf"^\s*0x0000000d 0x([0-9a-f]{{2}}): eax={_WORD} ebx={_WORD} ecx={_WORD} edx={_WORD}\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_LOGGED = re.compile(
    r"x86/fpu: xstate_offset\[(\d{1,2})\]: *([0-9a-f]{1,8}), "
    r"xstate_sizes\[\d{1,2}\]: *([0-9a-f]{1,8})\b"
)
_LOGGED_FORMAT = re.compile(r"x86/fpu: Enabled xstate features .* using '(\w{1,20})' format")
_ARRAY = r"\b{}\b[^{{}}]{{0,200}}\{{([^{{}}]{{0,4000}})\}}"
_ITEM = re.compile(r"(-?(?:0x[0-9a-f]{1,16}|\d{1,20}))(?:\s+<repeats (\d{1,4}) times>)?")
_COMPACTED_LOG = (
    "its kernel uses the compacted format and logs the offsets of that format; "
    "use the output of `cpuid -r` instead"
)
_UNCLEAR_LOG = (
    "the log does not say which format has these offsets: add its line `Enabled xstate features`"
)
_ABSENT, _NUMBERS = 0, range(2, 63)
_ALIGN64 = 1 << 1  # of ECX


def read_tables(text: str) -> Tables:
    """Return the sizes and places that `text` has; raise UsageError if it has none."""
    for read in (_from_cpuid, _from_arrays, _from_log):
        tables = read(text)
        if tables is not None:
            return tables
    raise UsageError(
        "it has no CPUID leaf 0xd as `cpuid -r` prints it, nor the kernel's xstate_offsets "
        "and xstate_sizes"
    )


def _from_cpuid(text: str) -> Tables | None:
    """Return the tables of the first CPU: eax is the size, ebx the offset, ecx[1] aligns."""
    leaves: dict[int, tuple[int, ...]] = {}
    for match in _LEAF.finditer(text):
        number, *words = (int(word, 16) for word in match.groups())
        leaves.setdefault(number, tuple(words))
    if not leaves.keys() & set(_NUMBERS):
        return None
    return Tables(
        "CPUID",
        offsets=_with_absent({number: leaf[1] for number, leaf in leaves.items()}),
        sizes=_with_absent({number: leaf[0] for number, leaf in leaves.items()}),
        align=_with_absent({number: leaf[2] & _ALIGN64 for number, leaf in leaves.items()}),
    )


def _from_arrays(text: str) -> Tables | None:
    """Return the tables in the kernel's arrays, each a name and then numbers in braces."""
    offsets, sizes = _array(text, "xstate_offsets"), _array(text, "xstate_sizes")
    if offsets is None:
        return None
    if sizes is None:
        raise UsageError("it has xstate_offsets without xstate_sizes: print both")
    return Tables("kernel", offsets=_with_absent(offsets), sizes=_with_absent(sizes))


def _array(text: str, name: str) -> dict[int, int] | None:
    match = re.search(_ARRAY.format(name), text)
    if match is None:
        return None
    values: list[int] = []
    for item, times in _ITEM.findall(match[1].lower()):
        values += [int(item, 0)] * min(int(times or 1), len(_NUMBERS))
    return dict(enumerate(values))


def _from_log(text: str) -> Tables | None:
    """Return the tables in a kernel's log; raise UsageError if its format is the compacted one."""
    lines = [tuple(map(_logged_number, match.groups())) for match in _LOGGED.finditer(text)]
    if not lines:
        return None
    form = _LOGGED_FORMAT.search(text)
    if form is None or form[1] != "standard":
        raise UsageError(_COMPACTED_LOG if form else _UNCLEAR_LOG)
    return Tables(
        "kernel",
        offsets=_with_absent({number: offset for number, offset, _ in lines}),
        sizes=_with_absent({number: size for number, _, size in lines}),
    )


def _logged_number(number: str) -> int:
    """Return a number of the log: hexadecimal with leading zeros up to 4.7, decimal since."""
    old = len(number) > 1 and number.startswith("0")
    return int(number, 16 if old or not number.isdigit() else 10)


def _with_absent(found: Mapping[int, int]) -> dict[int, int]:
    """Return `found` with all components that it lacks marked as absent."""
    return {number: found.get(number, _ABSENT) for number in _NUMBERS}
