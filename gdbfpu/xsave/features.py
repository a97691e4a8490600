# SPDX-License-Identifier: GPL-2.0-or-later
"""The XSAVE state components: numbers, names, sizes and architectural places.

Source: Intel SDM volume 1, chapter 13 (XSAVE-managed features), and `enum xfeature`
in the kernel's arch/x86/include/asm/fpu/types.h. The offsets are those
of Intel's CPUs. A kernel or a CPU may report other offsets, as AMD's CPUs do; then use those.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = (
    "APX",
    "AVX",
    "BNDCSR",
    "BNDREGS",
    "CET_S",
    "CET_U",
    "COMPONENTS",
    "FPSSE",
    "HDC",
    "HI16_ZMM",
    "HWP",
    "LBR",
    "NUMBERS",
    "OPMASK",
    "PASID",
    "PKRU",
    "PT",
    "SSE",
    "SUPERVISOR",
    "TILECFG",
    "TILEDATA",
    "UINTR",
    "X87",
    "ZMM_HI256",
    "Component",
    "bits",
    "component_name",
    "describe",
    "names",
)


@dataclass(frozen=True)
class Component:
    """One state component.

    `number` is its bit in XCR0 or IA32_XSS; `size` its bytes; `offset` its place in the
    standard format in bytes (Intel's; None where CPUID gives none, as for supervisor
    state); `align64` whether the compacted format aligns it to 64 bytes (CPUID.(0xD,i):ECX[1]);
    `supervisor` whether IA32_XSS enables it rather than XCR0.
    """

    number: int
    name: str
    size: int
    offset: int | None = None
    align64: bool = False
    supervisor: bool = False


X87, SSE, AVX, BNDREGS, BNDCSR, OPMASK, ZMM_HI256, HI16_ZMM, PT, PKRU = range(10)
PASID, CET_U, CET_S, HDC, UINTR, LBR, HWP, TILECFG, TILEDATA, APX = range(10, 20)
"""The numbers of the state components, which are their bits in XCR0, IA32_XSS and XSTATE_BV."""
FPSSE = 1 << X87 | 1 << SSE
"""XFEATURE_MASK_FPSSE: the components of the legacy region, which are always there."""

COMPONENTS: tuple[Component, ...] = (
    Component(X87, "x87", 160, 0),
    Component(SSE, "SSE", 256, 160),
    Component(AVX, "AVX", 256, 576),
    Component(BNDREGS, "BNDREGS", 64, 960),
    Component(BNDCSR, "BNDCSR", 64, 1024),
    Component(OPMASK, "opmask", 64, 1088),
    Component(ZMM_HI256, "ZMM_Hi256", 512, 1152),
    Component(HI16_ZMM, "Hi16_ZMM", 1024, 1664),
    Component(PT, "PT", 128, supervisor=True),
    Component(PKRU, "PKRU", 8, 2688),
    Component(PASID, "PASID", 8, supervisor=True),
    Component(CET_U, "CET_U", 16, supervisor=True),
    Component(CET_S, "CET_S", 24, supervisor=True),
    Component(HDC, "HDC", 8, supervisor=True),
    Component(UINTR, "UINTR", 48, supervisor=True),
    Component(LBR, "LBR", 808, supervisor=True),
    Component(HWP, "HWP", 8, supervisor=True),
    Component(TILECFG, "TILECFG", 64, 2752, align64=True),
    Component(TILEDATA, "TILEDATA", 8192, 2816, align64=True),
    Component(APX, "APX", 128, 960),
)
"""All state components that have a name, by number."""

SUPERVISOR = sum(1 << component.number for component in COMPONENTS if component.supervisor)
"""The components (u64) that IA32_XSS enables. User space must not see them."""

NUMBERS = {component.name: component.number for component in COMPONENTS}
"""The numbers of the components by name."""

_BY_NUMBER = {component.number: component for component in COMPONENTS}


def bits(mask: int) -> tuple[int, ...]:
    """Return the numbers of the bits set in `mask` (u64, as XSTATE_BV), lowest first."""
    return tuple(number for number in range(64) if mask >> number & 1)


def component_name(number: int) -> str:
    """Return the name of state component `number`, or `bit N` for one without a name."""
    component = _BY_NUMBER.get(number)
    return component.name if component else f"bit {number}"


def names(mask: int) -> tuple[str, ...]:
    """Return the names of the components in `mask` (u64); unknown bits as `bit N`."""
    return tuple(component_name(number) for number in bits(mask))


def describe(mask: int) -> str:
    """Return `mask` (u64) as `x87|SSE|bit 42`, or `-` when no bit is set."""
    return "|".join(names(mask)) or "-"
