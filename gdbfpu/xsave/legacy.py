# SPDX-License-Identifier: GPL-2.0-or-later
"""The legacy region: what FXSAVE64 and FNSAVE write, with full tags and ST(0) first.

Source: Intel SDM volume 1, 8.1 (x87 environment) and 10.5 (FXSAVE image); volume 2, FXSAVE
(table "Layout of the 64-Bit Mode FXSAVE64 Map") and FNSAVE; `struct fxregs_state` and
`struct fregs_state` in the kernel's arch/x86/include/asm/fpu/types.h.
"""

from __future__ import annotations

from dataclasses import dataclass

from gdbfpu.errors import CorruptState

__all__ = (
    "CONTROL_SIZE",
    "DEFAULT_MXCSR_MASK",
    "EMPTY",
    "FDP_OFFSET",
    "FIP_OFFSET",
    "FSAVE_ENVIRONMENT_SIZE",
    "FSAVE_SIZE",
    "FXSAVE_PLACES",
    "INIT_FCW",
    "INIT_MXCSR",
    "MXCSR_MASK_OFFSET",
    "MXCSR_OFFSET",
    "SPECIAL",
    "SW_RESERVED_OFFSET",
    "VALID",
    "X87",
    "XMM_END",
    "XMM_OFFSET",
    "ZERO",
    "Fxsave",
    "parse_fsave",
    "parse_fxsave",
    "parse_mxcsr",
)

FSAVE_SIZE = 108
"""Bytes that FNSAVE writes in 32-bit protected (and 64-bit) mode."""
FSAVE_ENVIRONMENT_SIZE = 28
"""Bytes before ST(0) in an FSAVE image."""
CONTROL_SIZE = 32
"""Bytes before ST(0) in an FXSAVE image."""
FIP_OFFSET, FDP_OFFSET = 8, 16
"""Where an FXSAVE64 image has the x87 pointers, u64 each."""
MXCSR_OFFSET, MXCSR_MASK_OFFSET = 24, 28
"""Where an FXSAVE image has MXCSR and MXCSR_MASK, u32 each; before them are x87's words."""
INIT_FCW, INIT_MXCSR = 0x37F, 0x1F80
"""The initial state's FCW (u16) and MXCSR (u32): Intel SDM volume 1, 13.6."""
XMM_OFFSET, XMM_END = 160, 416
"""Where an FXSAVE image has XMM0 to XMM15, right after ST(7)."""
SW_RESERVED_OFFSET = 464
"""Where `sw_reserved` begins: the last 48 bytes of an FXSAVE image, left to software."""
FXSAVE_PLACES = {
    "fcw": 0,
    "fsw": 2,
    "ftw": 4,
    "mxcsr": MXCSR_OFFSET,
    **{f"st{i}": CONTROL_SIZE + 16 * i for i in range(8)},
    **{f"xmm{i}": XMM_OFFSET + 16 * i for i in range(16)},
}
"""Where FXSAVE64 has the registers that a debugger's stub may show (SDM volume 1, 10.5.1)."""
DEFAULT_MXCSR_MASK = 0xFFBF
"""What an MXCSR_MASK of 0 stands for (Intel SDM volume 1, 11.6.6)."""
VALID, ZERO, SPECIAL, EMPTY = range(4)
"""The two-bit tags of the full x87 tag word."""


@dataclass(frozen=True)
class X87:
    """The x87 state.

    `fcw`, `fsw` (u16); `ftw` (u16) is the full tag word, two bits by physical register;
    `fop` (11 bits); `fip`, `fdp` (u64; u32 in an FSAVE image, with the selectors `fcs`, `fds`
    (u16), which FXSAVE64 does not keep); `st` has ten bytes for each register, ST(0) first,
    and fewer than eight registers if the image is cut.
    """

    fcw: int
    fsw: int
    ftw: int
    fop: int
    fip: int
    fdp: int
    fcs: int
    fds: int
    st: tuple[bytes, ...]

    @property
    def top(self) -> int:
        """Return FSW.TOP: which physical register is ST(0)."""
        return self.fsw >> 11 & 7

    @property
    def abridged_ftw(self) -> int:
        """Return the tag word as FXSAVE has it: bit j is set if physical register j is used."""
        return sum(1 << j for j in range(8) if self.ftw >> 2 * j & 3 != EMPTY)

    def tag(self, i: int) -> int:
        """Return the two-bit tag of ST(`i`)."""
        return self.ftw >> 2 * ((self.top + i) & 7) & 3

    @property
    def mm(self) -> tuple[tuple[int, bytes], ...]:
        """Return (j, eight bytes) for each MMj, which is the significand of physical register j."""
        physical = {(self.top + i) & 7: value[:8] for i, value in enumerate(self.st)}
        return tuple(sorted(physical.items()))


@dataclass(frozen=True)
class Fxsave:
    """An FXSAVE64 image: `x87`, `mxcsr` and `mxcsr_mask` (u32), `xmm` (16 bytes each, 0 first).

    `ftw_byte` is the abridged tag byte as it lies in memory.
    """

    x87: X87
    ftw_byte: int
    mxcsr: int
    mxcsr_mask: int
    xmm: tuple[bytes, ...]


def parse_fxsave(image: bytes) -> Fxsave:
    """Return the legacy region at the start of `image`; raise CorruptState below 32 bytes.

    If the image is cut, registers that are not all there are left out.
    """
    if len(image) < CONTROL_SIZE:
        raise CorruptState(f"an FXSAVE image has 512 bytes; this one has {len(image)}")
    fsw, tags = _u16(image, 2), image[4]
    mxcsr, mxcsr_mask = parse_mxcsr(image)
    st = tuple(value[:10] for value in _chunks(image[CONTROL_SIZE:XMM_OFFSET], 16, 10))
    return Fxsave(
        x87=X87(
            fcw=_u16(image, 0),
            fsw=fsw,
            ftw=_full_tag_word(tags, fsw >> 11 & 7, st),
            fop=_u16(image, 6) & 0x7FF,
            fip=int.from_bytes(image[FIP_OFFSET:FDP_OFFSET], "little"),
            fdp=int.from_bytes(image[FDP_OFFSET:MXCSR_OFFSET], "little"),
            fcs=0,
            fds=0,
            st=st,
        ),
        ftw_byte=tags,
        mxcsr=mxcsr,
        mxcsr_mask=mxcsr_mask,
        xmm=_chunks(image[XMM_OFFSET:XMM_END], 16, 16),
    )


def parse_mxcsr(image: bytes) -> tuple[int, int]:
    """Return MXCSR and MXCSR_MASK (u32 each) of an FXSAVE image; missing bytes read as zero."""
    mxcsr = image[MXCSR_OFFSET:MXCSR_MASK_OFFSET]
    mask = image[MXCSR_MASK_OFFSET:CONTROL_SIZE]
    return int.from_bytes(mxcsr, "little"), int.from_bytes(mask, "little")


def parse_fsave(image: bytes) -> X87:
    """Return the 32-bit protected-mode FSAVE image; raise CorruptState below 28 bytes.

    If the image is cut, registers that are not all there are left out.
    """
    if len(image) < FSAVE_ENVIRONMENT_SIZE:
        raise CorruptState(f"an FSAVE image has {FSAVE_SIZE} bytes; this one has {len(image)}")
    return X87(
        fcw=_u16(image, 0),
        fsw=_u16(image, 4),
        ftw=_u16(image, 8),
        fop=_u16(image, 18) & 0x7FF,
        fip=int.from_bytes(image[12:16], "little"),
        fdp=int.from_bytes(image[20:24], "little"),
        fcs=_u16(image, 16),
        fds=_u16(image, 24),
        st=_chunks(image[FSAVE_ENVIRONMENT_SIZE:FSAVE_SIZE], 10, 10),
    )


def _u16(image: bytes, offset: int) -> int:
    return int.from_bytes(image[offset : offset + 2], "little")


def _chunks(data: bytes, step: int, needed: int) -> tuple[bytes, ...]:
    """Return `data` in pieces of `step` bytes, without one that has fewer than `needed`."""
    pieces = (bytes(data[start : start + step]) for start in range(0, len(data), step))
    return tuple(piece for piece in pieces if len(piece) >= needed)


def _full_tag_word(abridged: int, top: int, st: tuple[bytes, ...]) -> int:
    """Return the two-bit tags by physical register (SDM volume 2, FXSAVE, table 3-44)."""
    word = 0
    for j in range(8):
        i = (j - top) & 7
        used = abridged >> j & 1
        tag = EMPTY if not used else _classify(st[i]) if i < len(st) else SPECIAL
        word |= tag << 2 * j
    return word


def _classify(value: bytes) -> int:
    """Return the tag of a used register that holds the 80-bit `value`."""
    significand = int.from_bytes(value[:8], "little")
    exponent = int.from_bytes(value[8:10], "little") & 0x7FFF
    if exponent == 0 and significand == 0:
        return ZERO
    normal = 0 < exponent < 0x7FFF and significand >> 63
    return VALID if normal else SPECIAL
