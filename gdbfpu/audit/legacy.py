# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules on the legacy region: MXCSR, the x87 words that no save writes, the initial image."""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.audit.finding import Finding, Result, Undecided
from gdbfpu.audit.snapshot import Snapshot, TaskView
from gdbfpu.target import read_u32
from gdbfpu.xsave.area import Span, residue
from gdbfpu.xsave.legacy import CONTROL_SIZE, DEFAULT_MXCSR_MASK

__all__ = ("amdfip", "initbuf", "leaves_pointers", "mxcsr")

_MXCSR, _PKRU = 24, 9
_FSW_ES = 1 << 7  # an x87 exception is pending
_POINTERS = (("fip", 8), ("fdp", 16))  # FXSAVE64's places, eight bytes each
_AMD, _HYGON = 2, 9  # X86_VENDOR_*, arch/x86/include/asm/processor.h; macros
_XSAVEERPTR = (13, 2)  # word and bit of X86_FEATURE_XSAVEERPTR, since 4.7


def mxcsr(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding for MXCSR bits that the CPU does not have: loading them faults.

    Source: Intel SDM volume 1, 10.2.3 and 11.6.6; kernel commit 145e9e0d8c6f (5.14).
    """
    value = int.from_bytes(view.image[_MXCSR : _MXCSR + 4], "little")
    saved = int.from_bytes(view.image[_MXCSR + 4 : _MXCSR + 8], "little")
    mask = snapshot.mxcsr_mask or saved or DEFAULT_MXCSR_MASK  # the CPU saves its own beside it
    reserved = value & ~mask
    if reserved:
        yield Finding(
            rule="MXCSR",
            severity="error",
            about=view.task,
            component="SSE",
            read=f"mxcsr is {value:#010x}; bits {reserved:#x} are not in mxcsr_feature_mask "
            f"({mask:#x})",
            address=view.at + _MXCSR,
            why="FXRSTOR and XRSTOR fault (#GP) on it, and the CPU goes on with the registers of "
            "the task before",
            evidence=view.image[_MXCSR : _MXCSR + 4],
        )


def amdfip(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding for x87 pointers into the kernel's half where no save writes them.

    AMD CPUs without XSAVEERPTR save and load FOP, FIP and FDP only while an exception is
    pending: CVE-2006-1056, CVE-2013-2076. A user address there may be the task's own.
    """
    if len(view.image) < CONTROL_SIZE or not leaves_pointers(snapshot):
        return
    fsw = int.from_bytes(view.image[2:4], "little")
    for name, place in _POINTERS:
        value = int.from_bytes(view.image[place : place + 8], "little")
        if value >> 63 and not fsw & _FSW_ES:
            yield Finding(
                rule="AMDFIP",
                severity="warning",
                about=view.task,
                component="x87",
                read=f"{name} is {value:#x}, and no x87 exception is pending",
                address=view.at + place,
                why="this CPU saves the x87 pointers only with an exception pending: no save of "
                "this task's wrote them, and every export copies them",
                evidence=view.image[place : place + 8],
            )


def leaves_pointers(snapshot: Snapshot) -> bool:
    """Return whether saves leave FOP, FIP and FDP out: on AMD's CPUs without XSAVEERPTR."""
    kernel = snapshot.model.kernel
    base = kernel.target.symbol_address("boot_cpu_data")
    vendor = kernel.layouts.find("cpuinfo_x86", "x86_vendor")
    words = kernel.layouts.find("cpuinfo_x86", "x86_capability")
    if base is None or vendor is None or words is None:
        return False
    if kernel.target.read_memory(base + vendor.offset, 1)[0] not in (_AMD, _HYGON):
        return False
    word, bit = _XSAVEERPTR
    if (word + 1) * 4 > words.size:
        return True
    return not read_u32(kernel.target, base + words.offset + 4 * word) >> bit & 1


def initbuf(snapshot: Snapshot) -> Iterator[Result]:
    """Yield a finding where the kernel's own initial image is not the initial state.

    An image saved with XSAVEOPT, XSAVEC or XSAVES has FCW 0 and MXCSR 0, and each new task
    begins with them: fixed by f9dfb5e390fa (5.13).
    """
    at, target = snapshot.model.xstate.init_address, snapshot.model.kernel.target
    image = target.read_memory(at, len(snapshot.model.xstate.init)) if at else b""
    if len(image) < CONTROL_SIZE:
        yield Undecided("INITBUF", "the kernel", "it has no image of the initial state")
        return
    for name, place, size, expected in (("fcw", 0, 2, 0x37F), ("mxcsr", _MXCSR, 4, 0x1F80)):
        value = int.from_bytes(image[place : place + size], "little")
        if value != expected:
            yield _initial(at + place, f"{name} is {value:#x}, not {expected:#x}")
    for span in snapshot.spans(image):
        places = residue(image, span)
        if places and not _is_default_pkru(snapshot, image, span):
            yield _initial(
                at + places[0],
                f"{len(places)} bytes of component {span.number} are "
                f"not zero, from byte {places[0]}",
            )


def _is_default_pkru(snapshot: Snapshot, image: bytes, span: Span) -> bool:
    """Return whether `span` is PKRU and holds init_pkru_value.

    setup_pku() puts it there from 5.2 (commit a5eff7259790) to 5.13.
    """
    address = snapshot.model.kernel.target.symbol_address("init_pkru_value")
    if span.number != _PKRU or address is None:
        return False
    value = int.from_bytes(image[span.offset : span.offset + 4], "little")
    return value == read_u32(snapshot.model.kernel.target, address)


def _initial(address: int, read: str) -> Finding:
    return Finding(
        "INITBUF",
        "error",
        "init_fpstate",
        read,
        address,
        "every task begins with it, at exec and in each signal handler",
    )
