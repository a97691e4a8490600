# SPDX-License-Identifier: GPL-2.0-or-later
"""Which format an image has."""

from __future__ import annotations

from gdbfpu.errors import UsageError
from gdbfpu.xsave.area import EXTENDED_OFFSET, LEGACY_SIZE, XsaveHeader, parse_header
from gdbfpu.xsave.features import FPSSE
from gdbfpu.xsave.legacy import FSAVE_SIZE, SW_RESERVED_OFFSET
from gdbfpu.xsave.sigframe import FREGS_SIZE, MAGIC1

__all__ = ("FORMATS", "PACKED_MASKS", "detect", "ptrace_xcr0")

FORMATS = ("standard", "compacted", "fxsave", "fsave", "sigframe")
"""The formats of an image, as `--image` names them (beside `auto`)."""
PACKED_MASKS = {840: 0x207, 2432: 0x0E7, 2440: 0x2E7}
"""The sizes (bytes) that an image can have both in AMD's standard format and compacted.

The value is the components (u64) of such an image.
"""

_XCR0_OFFSET = SW_RESERVED_OFFSET  # where ptrace and core dumps put XCR0 (NT_X86_XSTATE)


def detect(image: bytes) -> tuple[str, str]:
    """Return the format of `image` and what decided it; raise UsageError if nothing does."""
    size = len(image)
    for offset in (SW_RESERVED_OFFSET, FREGS_SIZE + SW_RESERVED_OFFSET):
        if int.from_bytes(image[offset : offset + 4], "little") == MAGIC1:
            return "sigframe", f"FP_XSTATE_MAGIC1 is at byte {offset}"
    by_size = {FSAVE_SIZE: "fsave", FREGS_SIZE: "sigframe", LEGACY_SIZE: "fxsave"}
    if size in by_size:
        return by_size[size], f"it has {size} bytes"
    if size < EXTENDED_OFFSET:
        raise UsageError(f"cannot tell the format of {size} bytes; {_say_one_of(FORMATS)}")
    header = parse_header(image)
    if header.compacted:
        return "compacted", "XCOMP_BV[63] is set"
    if ptrace_xcr0(image, header) is not None:
        return "standard", f"XCOMP_BV[63] is clear and XCR0 is at byte {_XCR0_OFFSET}"
    if size in PACKED_MASKS:
        raise UsageError(
            f"{size} bytes without XCOMP_BV[63] can be two formats; "
            f"{_say_one_of(('standard', 'compacted'))}"
        )
    return "standard", "XCOMP_BV[63] is clear"


def ptrace_xcr0(image: bytes, header: XsaveHeader) -> int | None:
    """Return the XCR0 that ptrace put into `image`, or None if those bytes cannot be XCR0."""
    value = int.from_bytes(image[_XCR0_OFFSET : _XCR0_OFFSET + 8], "little")
    plausible = value & FPSSE == FPSSE and value < 1 << 20 and not header.xfeatures & ~value
    return value if plausible else None


def _say_one_of(choices: tuple[str, ...]) -> str:
    return f"say --image {' or '.join((', '.join(choices[:-1]), choices[-1]))}"
