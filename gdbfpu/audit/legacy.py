# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules on the legacy region: MXCSR, x87 words that no save writes, and the initial image."""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.audit.finding import Severity
from gdbfpu.audit.rule import Defect, Outcome, Scope, Unknown, rule
from gdbfpu.audit.snapshot import Snapshot, TaskView
from gdbfpu.kernel.cpuinfo import AMD, HYGON, XSAVEERPTR, cpu_has, cpu_vendor
from gdbfpu.target import read_u32
from gdbfpu.xsave.area import Span, residue
from gdbfpu.xsave.features import PKRU
from gdbfpu.xsave.legacy import (
    CONTROL_SIZE,
    DEFAULT_MXCSR_MASK,
    FDP_OFFSET,
    FIP_OFFSET,
    FXSAVE_PLACES,
    INIT_FCW,
    INIT_MXCSR,
    MXCSR_MASK_OFFSET,
    MXCSR_OFFSET,
    parse_fxsave,
    parse_mxcsr,
)

__all__ = ("amdfip", "initbuf", "leaves_pointers", "mxcsr")

_FSW_ES = 1 << 7  # set while an x87 exception is pending


@rule(
    "MXCSR",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="MXCSR has no bits outside mxcsr_feature_mask.",
)
def mxcsr(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for MXCSR bits that the CPU does not support: loading them faults.

    Source: Intel SDM volume 1, 10.2.3 and 11.6.6; kernel commit 145e9e0d8c6f (5.14).
    """
    value, saved = parse_mxcsr(view.image)
    mask = (
        snapshot.mxcsr_mask or saved or DEFAULT_MXCSR_MASK
    )  # the CPU saves its mask next to MXCSR
    reserved = value & ~mask
    if reserved:
        yield Defect(
            about=view.task,
            component="SSE",
            read=f"mxcsr is {value:#010x}; bits {reserved:#x} are not in mxcsr_feature_mask "
            f"({mask:#x})",
            address=view.at + MXCSR_OFFSET,
            why="FXRSTOR and XRSTOR fault (#GP) on this value, and the CPU keeps the registers of "
            "the previous task",
            evidence=view.image[MXCSR_OFFSET:MXCSR_MASK_OFFSET],
        )


@rule(
    "AMDFIP",
    scope=Scope.TASK,
    severity=Severity.WARNING,
    invariant="FIP and FDP hold no kernel address if the CPU does not save them.",
)
def amdfip(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for x87 pointers to kernel addresses if no save writes the pointers.

    AMD CPUs without XSAVEERPTR save and load FOP, FIP and FDP only while an exception is
    pending: CVE-2006-1056, CVE-2013-2076. A user address may be the task's own, so it is not a
    defect.
    """
    if len(view.image) < CONTROL_SIZE or not leaves_pointers(snapshot):
        return
    x87 = parse_fxsave(view.image).x87
    for name, place, value in (("fip", FIP_OFFSET, x87.fip), ("fdp", FDP_OFFSET, x87.fdp)):
        if value >> 63 and not x87.fsw & _FSW_ES:
            yield Defect(
                about=view.task,
                component="x87",
                read=f"{name} is {value:#x}, but no x87 exception is pending",
                address=view.at + place,
                why="this CPU saves the x87 pointers only while an exception is pending: no save "
                "of this task wrote them, and every export copies them",
                evidence=view.image[place : place + 8],
            )


def leaves_pointers(snapshot: Snapshot) -> bool:
    """Return whether the CPU saves FOP, FIP and FDP only while an exception is pending.

    AMD's and Hygon's CPUs without XSAVEERPTR do so.
    """
    kernel = snapshot.model.kernel
    return cpu_vendor(kernel) in (AMD, HYGON) and cpu_has(kernel, XSAVEERPTR) is False


@rule(
    "INITBUF",
    scope=Scope.KERNEL,
    severity=Severity.ERROR,
    invariant="init_fpstate holds the initial state.",
)
def initbuf(snapshot: Snapshot) -> Iterator[Outcome]:
    """Yield a defect if the kernel's initial image does not hold the initial state.

    If the kernel saved the image with XSAVEOPT, XSAVEC or XSAVES, FCW and MXCSR are 0, and each
    new task starts with these values. f9dfb5e390fa (5.13) fixes this.
    """
    at, target = snapshot.model.xstate.init_address, snapshot.model.kernel.target
    image = target.read_memory(at, len(snapshot.model.xstate.init)) if at else b""
    if len(image) < CONTROL_SIZE:
        yield Unknown("the kernel has no image of the initial state")
        return
    found = parse_fxsave(image)
    for name, value, expected in (
        ("fcw", found.x87.fcw, INIT_FCW),
        ("mxcsr", found.mxcsr, INIT_MXCSR),
    ):
        if value != expected:
            yield _initial(at + FXSAVE_PLACES[name], f"{name} is {value:#x}, not {expected:#x}")
    for span in snapshot.spans(image):
        places = residue(image, span)
        if places and not _is_default_pkru(snapshot, image, span):
            read = f"{len(places)} bytes of component {span.number} are not zero, from byte "
            yield _initial(at + places[0], f"{read}{places[0]}")


def _is_default_pkru(snapshot: Snapshot, image: bytes, span: Span) -> bool:
    """Return whether `span` is PKRU and holds init_pkru_value.

    From 5.2 (commit a5eff7259790) to 5.13, setup_pku() writes that value there.
    """
    address = snapshot.model.kernel.target.symbol_address("init_pkru_value")
    if span.number != PKRU or address is None:
        return False
    value = int.from_bytes(image[span.offset : span.offset + 4], "little")
    return value == read_u32(snapshot.model.kernel.target, address)


def _initial(address: int, read: str) -> Defect:
    why = "every task starts with this image, at exec and in each signal handler"
    return Defect("init_fpstate", read, address, why)
