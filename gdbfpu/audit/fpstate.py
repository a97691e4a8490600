# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules on struct fpstate and on related state: permissions, XFD, guests, CET, PKRU."""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.audit.finding import Severity
from gdbfpu.audit.rule import Defect, Outcome, Scope, Unknown, rule
from gdbfpu.audit.snapshot import CpuView, Snapshot, TaskView
from gdbfpu.target import read_u64
from gdbfpu.xsave.area import HEADER_OFFSET, in_use
from gdbfpu.xsave.features import APX, CET_U, PKRU, TILEDATA, describe

__all__ = ("amxbuf", "guest", "perm", "pkru0", "ssp", "xfd1", "xfd3")

_GUEST_PERM_LOCKED = 1 << 63  # FPU_GUEST_PERM_LOCKED, asm/fpu/types.h; a macro
_DYNAMIC = 1 << TILEDATA  # XFEATURE_MASK_USER_DYNAMIC
_SHSTK = 1  # ARCH_SHSTK_SHSTK, asm/prctl.h; a macro
_PL3_SSP = 8  # bytes from CET_U's start, Intel SDM volume 1, 13.5.9


@rule(
    "PERM",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="A thread uses only features that its thread group has permission for.",
)
def perm(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for features that the task's thread group has no permission for.

    The fpu.perm of the group's leader decides: arch_prctl(ARCH_REQ_XCOMP_PERM) sets it. The other
    threads have a copy.
    """
    allowed = _group_perm(snapshot, view)
    if allowed is None:
        return
    own = view.fields.get("perm", 0) & ~_GUEST_PERM_LOCKED
    if own & ~allowed:
        yield Defect(
            view.task,
            f"fpu.perm has {describe(own & ~allowed)}, but the thread group has no permission "
            "for it",
            view.fpu,
            "the thread can use what its thread group may not use",
        )
    used = view.fields.get("fpstate.user_xfeatures", 0) & _DYNAMIC & ~allowed
    if used:
        yield Defect(
            view.task,
            f"fpstate.user_xfeatures has {describe(used)}, but the thread group has no permission "
            "for it",
            view.fpu,
            "a signal frame can be larger than the kernel assumed when it checked the alternate "
            "signal stack",
        )


def _group_perm(snapshot: Snapshot, view: TaskView) -> int | None:
    member = snapshot.model.kernel.layouts.find("task_struct", "group_leader")
    if member is None or "perm" not in view.fields:
        return None
    leader = read_u64(snapshot.model.kernel.target, view.task.address + member.offset)
    value = snapshot.integer(snapshot.model.fpu_of(leader), "fpu", "perm.__state_perm")
    return None if value is None else value & ~_GUEST_PERM_LOCKED


@rule(
    "AMXBUF",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="A task's fpstate is where its flags say, and has room for its components.",
)
def amxbuf(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect if the buffer of a dynamic feature has the wrong place or size.

    The area must have room for all components in its header. The area must be `fpu.__fpstate`,
    unless it was allocated (`is_valloc`) or belongs to a KVM guest.
    """
    if "fpstate.size" not in view.fields:
        return
    own = snapshot.model.kernel.layouts.find("fpu", "__fpstate")
    start = view.at - snapshot.model.regs_offset
    elsewhere = own is not None and start != view.fpu + own.offset
    marked = view.fields.get("fpstate.is_valloc", 0) or view.fields.get("fpstate.is_guest", 0)
    if own is not None and elsewhere != bool(marked):
        place = "not fpu.__fpstate" if elsewhere else "fpu.__fpstate"
        flags = "is_valloc or is_guest is set" if marked else "is_valloc and is_guest are clear"
        yield Defect(
            view.task,
            f"its fpstate is {place}, but {flags}",
            start,
            "the kernel will free memory that it did not allocate, or never free it",
        )
    missing = _beyond(snapshot, view)
    if missing:
        yield Defect(
            view.task,
            f"xfeatures has {describe(missing)}, but fpstate.xfeatures has no room for it",
            view.at + HEADER_OFFSET,
            "XSAVES writes beyond the end of the area",
        )


def _beyond(snapshot: Snapshot, view: TaskView) -> int:
    header, room = view.header, view.fields.get("fpstate.xfeatures")
    return 0 if header is None or room is None else in_use(header) & ~room & snapshot.mask


@rule(
    "XFD1",
    scope=Scope.CPU,
    severity=Severity.ERROR,
    invariant="A CPU's cached IA32_XFD is the running task's.",
)
def xfd1(snapshot: Snapshot, cpu: CpuView) -> Iterator[Outcome]:
    """Yield a defect if a CPU's cached IA32_XFD is not the running task's: CVE-2024-35801.

    Fixed by 10e4b5166df9 (6.9). The register itself is not in memory; a CPU that was asked tells
    it.
    """
    kernel, view = snapshot.model.kernel, cpu.view
    if not snapshot.mask & _DYNAMIC or not snapshot.has("xfd_state"):
        return
    place = kernel.per_cpu("xfd_state", cpu.number)
    cached = read_u64(kernel.target, place)
    yield from _xfd_itself(snapshot, cpu, cached, place)
    if view is None or not view.loaded or "fpstate.xfd" not in view.fields:
        return
    if cached != view.fields["fpstate.xfd"]:
        yield Defect(
            view.task,
            f"xfd_state of CPU {cpu.number} is {cached:#x}, but fpstate.xfd is "
            f"{view.fields['fpstate.xfd']:#x}",
            place,
            "the task gets #NM for a feature that it may use, or uses a feature without a buffer",
        )


def _xfd_itself(snapshot: Snapshot, cpu: CpuView, cached: int, place: int) -> Iterator[Outcome]:
    """Yield an outcome for IA32_XFD, whose value is `cached` at the address `place`."""
    told = snapshot.told(cpu.number)
    value = told.control.get("ia32_xfd") if told is not None else None
    if value is None:
        yield Unknown("IA32_XFD itself is not in memory")
    elif value != cached:
        yield Defect(
            f"CPU {cpu.number}",
            f"IA32_XFD is {value:#x}, but xfd_state is {cached:#x}",
            place,
            "the kernel skips a write that it needs: a task gets #NM for a feature that it may "
            "use, or uses a feature without a buffer",
        )


@rule(
    "XFD3",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="No component that IA32_XFD disables is in use.",
)
def xfd3(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for a component in use that IA32_XFD disables: loading it raises #NM.

    This also checks a KVM guest's state while the task holds that state. For guests, b45f72177594
    (6.19) fixes the defect: CVE-2026-23005.
    """
    header, xfd = view.header, view.fields.get("fpstate.xfd", 0)
    armed = in_use(header) & xfd if header is not None else 0
    if armed:
        yield _xfd3(view, view.at, f"xfeatures has {describe(armed)}, which fpstate.xfd disables")
    if snapshot.model.holds_guest(view.fpu):
        kernel, pointer = snapshot.model.kernel, snapshot.model.state
        start = read_u64(kernel.target, view.fpu + pointer.offset)
        at = start + snapshot.model.regs_offset
        xfd = snapshot.integer(start, "fpstate", "xfd") or 0
        armed = read_u64(kernel.target, at + HEADER_OFFSET) & xfd
        if armed:
            read = f"its guest's xfeatures has {describe(armed)}, which the guest's xfd disables"
            yield _xfd3(view, at, read)


def _xfd3(view: TaskView, at: int, read: str) -> Defect:
    return Defect(view.task, read, at + HEADER_OFFSET, "XRSTORS raises #NM in the kernel")


@rule(
    "GUEST",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="A task holds a KVM guest's state only while its own is set aside.",
)
def guest(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect if a task holds a KVM guest's state and has not set its own aside.

    fpu_swap_kvm_fpstate() sets is_guest and in_use, and keeps the task's own in `__task_fpstate`.
    """
    pointer = snapshot.model.state
    if not pointer.pointer or "__task_fpstate" not in view.fields:
        return
    start = read_u64(snapshot.model.kernel.target, view.fpu + pointer.offset)
    is_guest = bool(snapshot.integer(start, "fpstate", "is_guest"))
    in_use_now = bool(snapshot.integer(start, "fpstate", "in_use"))
    aside = bool(view.fields["__task_fpstate"])
    if aside != is_guest or (is_guest and not in_use_now):
        yield Defect(
            view.task,
            f"is_guest is {int(is_guest)}, in_use is "
            f"{int(in_use_now)}, and __task_fpstate is {'set' if aside else 'NULL'}",
            view.fpu,
            "the task will run with the guest's registers, or the guest with the task's",
        )
    if is_guest and snapshot.mask >> APX & 1 and not snapshot.model.xstate.guest_mask >> APX & 1:
        yield Unknown("KVM keeps the guest's r16 to r31 itself, not in the guest's fpstate")


@rule(
    "SSP",
    scope=Scope.TASK,
    severity=Severity.ERROR,
    invariant="Only a task with a shadow stack has shadow stack state.",
)
def ssp(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for shadow stack state of a task that has no shadow stack.

    The shadow stack pointer has to be a user address. This rule does not find CVE-2025-21632:
    there, ssp_get() failed for a task with neither a shadow stack nor shadow stack state (fixed
    by a9d9c33132d4, 6.13).
    """
    header = view.header
    span = next((s for s in snapshot.spans(view.image) if s.number == CET_U), None)
    features = snapshot.integer(view.task.address, "task_struct", "thread.features")
    if header is None or span is None or features is None or not in_use(header) >> CET_U & 1:
        return
    place = span.offset + _PL3_SSP
    pointer = int.from_bytes(view.image[place : place + 8], "little")
    if not any(view.image[span.offset : span.end]):
        return
    if not features & _SHSTK:
        yield Defect(
            view.task,
            "xfeatures has CET_U, but thread.features has no shadow stack",
            view.at + HEADER_OFFSET,
            "ptrace would show and set state that the task does not have",
            "CET_U",
        )
    elif pointer >> 63:
        yield Defect(
            view.task,
            f"ssp is {pointer:#x}, not a user address",
            view.at + place,
            "the next return in user mode faults",
            "CET_U",
        )


@rule(
    "PKRU0",
    scope=Scope.TASK,
    severity=Severity.WARNING,
    invariant="A task whose PKRU is initial runs with PKRU 0.",
)
def pkru0(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for PKRU in its initial state, 0, if the kernel may load init_pkru instead.

    Kernels from 5.2 to 5.12 that support protection keys load init_pkru while the header's bit is
    clear. 510b80a6a0f1 fixes this (5.13, and in stable trees), but memory does not show whether a
    kernel has the fix. Since 5.14 PKRU is in `thread.pkru`.
    """
    header = view.header
    if header is None or snapshot.model.live_flag:
        return
    if snapshot.pkru_moved or not snapshot.has("init_pkru_value"):
        return
    saved = snapshot.mask >> PKRU & 1
    if saved and in_use(header) and not in_use(header) >> PKRU & 1:
        yield Defect(
            view.task,
            f"PKRU is in its initial state, 0: the header's bit {PKRU} is clear",
            view.at + HEADER_OFFSET,
            "a kernel without 510b80a6a0f1 loads init_pkru for this task instead",
            "PKRU",
        )
