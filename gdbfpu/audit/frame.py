# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules on a signal frame: what the kernel wrote to a user stack, or is about to load from it.

Source: arch/x86/kernel/fpu/signal.c (copy_fpstate_to_sigframe, save_xstate_epilog) and
`struct _fpx_sw_bytes` in asm/sigcontext.h.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gdbfpu.audit.finding import Finding, Result, Undecided, name_of
from gdbfpu.audit.legacy import leaves_pointers
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.kernel.tasks import Task
from gdbfpu.xsave.area import Span, in_use, parse_header, residue, significant, standard_spans
from gdbfpu.xsave.features import SUPERVISOR, component_name, describe
from gdbfpu.xsave.formats import Tables
from gdbfpu.xsave.legacy import FXSAVE_PLACES
from gdbfpu.xsave.sigframe import FREGS_SIZE, MAGIC1, Frame, frame_defects, parse_frame

__all__ = ("FrameView", "frame", "frame32", "framediff", "framepast", "framestale")

_NOT_ITS = "the handler, and sigreturn, see a state that was not the task's"
_PKRU = 9
_SW = 464  # where struct _fpx_sw_bytes begins in the FXSAVE image


@dataclass(frozen=True)
class FrameView:
    """A frame that a task's kernel code just wrote to user memory, and what it was written from.

    `address` is where the frame begins, `image` its bytes up to FP_XSTATE_MAGIC2 (empty: not
    read, for the reason `unread`). `before` is the task's register image in memory at entry,
    empty where a CPU held the registers, of which `registers` are then those that the stub
    shows. `past` are the bytes behind the frame at entry and at return, empty where they cannot
    be read, None of a frame that was not seen to be written. `size` (bytes) and `mask` (u64) are
    what an image of this task has for user space, 0 for what the kernel has by default.
    """

    task: Task
    address: int
    image: bytes
    unread: str = ""
    before: bytes = b""
    registers: Mapping[str, bytes] | None = None
    past: tuple[bytes, bytes] | None = None
    size: int = 0
    mask: int = 0

    @property
    def frame(self) -> Frame:
        """Return the frame's software bytes."""
        return parse_frame(self.image)

    @property
    def xsave(self) -> bytes:
        """Return the FXSAVE or XSAVE image in the frame."""
        end = self.frame.base + self.frame.xstate_size if self.frame.extended else None
        return self.image[self.frame.base : end]


def _finding(
    view: FrameView, rule: str, at: int, read: str, why: str, component: str = ""
) -> Finding:
    return Finding(
        rule,
        "error",
        view.task,
        read,
        view.address + at,
        why,
        component,
        view.image[at : at + 64],
    )


def frame(snapshot: Snapshot, view: FrameView) -> Iterator[Result]:
    """Yield a finding for what the frame says of itself that is not so.

    sigreturn believes it: CVE-2024-26603 (d877550eaf2d, 6.8).
    """
    if not view.image:
        yield Undecided("FRAME", name_of(view.task), f"not read: {view.unread}")
        return
    told, size, mask = view.frame, _size(snapshot, view), _mask(snapshot, view)
    if not told.extended:
        if snapshot.model.format != "fxsave" and not told.ia32:  # FRAME32 tells of those
            yield _finding(
                view,
                "FRAME",
                told.base + _SW,
                f"magic1 is {told.magic1:#x}, not {MAGIC1:#x}",
                _LOST,
            )
        return
    why = "sigreturn goes by it: the state is lost, or read from behind the frame"
    for defect in frame_defects(told, len(view.image)):
        yield _finding(view, "FRAME", told.base + _SW, defect, why)
    if told.xstate_size != size:
        yield _finding(
            view,
            "FRAME",
            told.base + _SW + 16,
            f"xstate_size is {told.xstate_size}, the task's user images have {size}",
            why,
        )
    if told.xfeatures != mask:
        yield _finding(
            view,
            "FRAME",
            told.base + _SW + 8,
            f"sw_reserved.xfeatures is {told.xfeatures:#x}, the task's are {mask:#x}",
            why,
        )
    yield from _header(snapshot, view)


def _size(snapshot: Snapshot, view: FrameView) -> int:
    return view.size or snapshot.model.xstate.user_size


def _mask(snapshot: Snapshot, view: FrameView) -> int:
    return view.mask or snapshot.model.xstate.user_mask


_LOST = "sigreturn takes the frame for one without extended state: AVX and all above is lost"


def _header(snapshot: Snapshot, view: FrameView) -> Iterator[Result]:
    header, at = parse_header(view.xsave.ljust(576, b"\0")), view.frame.base + 512
    if header.xcomp_bv or any(header.reserved):
        yield _finding(
            view,
            "FRAME",
            at + 8,
            f"xcomp_bv is {header.xcomp_bv:#x}, reserved bytes "
            f"{'not ' if any(header.reserved) else ''}zero",
            "sigreturn loads it: XRSTOR faults (#GP), CVE-2017-15537",
        )
    foreign = header.xfeatures & ~_mask(snapshot, view)
    if foreign:
        rule = "SUPV" if foreign & SUPERVISOR else "FRAME"
        yield _finding(
            view,
            rule,
            at,
            f"xfeatures has {describe(foreign)}, which user space may not see",
            "state that is not the user's is on its stack",
        )


def frame32(snapshot: Snapshot, view: FrameView) -> Iterator[Result]:
    """Yield a finding for a 32-bit task's frame that hides its extended state.

    fx_sw_reserved_ia32 was not set up in 3.7 to 4.3 on 32-bit kernels: ab6b52947545.
    """
    if not view.image or not view.frame.ia32 or snapshot.model.format == "fxsave":
        return
    if not view.frame.extended:
        yield _finding(
            view,
            "FRAME32",
            FREGS_SIZE + _SW,
            f"a 32-bit frame has no FP_XSTATE_MAGIC1: {view.frame.magic1:#x}",
            _LOST,
        )


def framestale(snapshot: Snapshot, view: FrameView) -> Iterator[Result]:
    """Yield a finding for stale bytes that reached the user stack."""
    if not view.image or not view.frame.extended:
        return
    header = parse_header(view.xsave.ljust(576, b"\0"))
    for span in _spans(snapshot, view):
        places = residue(view.xsave, span)
        if places and not in_use(header) >> span.number & 1:
            name = component_name(span.number)
            yield _finding(
                view,
                "FRAMESTALE",
                view.frame.base + places[0],
                f"{len(places)} of {span.size} bytes of {name} are not initial, and "
                f"the frame's bit {span.number} is clear",
                "registers of another time or another task are on the user stack",
                name,
            )


def _spans(snapshot: Snapshot, view: FrameView) -> tuple[Span, ...]:
    """Return where components lie in the frame: always in the standard format."""
    tables: Tables = snapshot.model.xstate.tables
    spans = standard_spans(_mask(snapshot, view) | 3, tables.offsets, tables.sizes)
    return tuple(span for span in spans if span.end <= len(view.xsave))


def framepast(_ground: Snapshot, view: FrameView) -> Iterator[Result]:
    """Yield a finding for bytes behind the frame that the kernel changed."""
    if view.past is None:
        return
    before, after = view.past
    if not before:
        yield Undecided("FRAMEPAST", name_of(view.task), "what is behind the frame is not known")
    changed = [i for i, (a, b) in enumerate(zip(before, after)) if a != b]
    if changed:
        end = len(view.image)
        yield _finding(
            view,
            "FRAMEPAST",
            end + changed[0],
            f"{len(changed)} bytes behind the frame changed, from byte {end + changed[0]}",
            "the kernel writes over what the program keeps on its stack",
        )


def framediff(snapshot: Snapshot, view: FrameView) -> Iterator[Result]:
    """Yield a finding for state in the frame that was not the task's own when it was written.

    Where a CPU held the registers, only what the stub shows of them can be compared.
    """
    if not view.image:
        return
    if view.before:
        yield from _against_memory(snapshot, view)
    elif view.registers:
        yield from _against_registers(view)
    else:
        yield Undecided(
            "FRAMEDIFF",
            name_of(view.task),
            "the registers were in the CPU, and this stub does not show them",
        )


def _against_memory(snapshot: Snapshot, view: FrameView) -> Iterator[Result]:
    """Compare each component in use, wherever a compacted image has it; PKRU where it counts."""
    used = in_use(parse_header(view.before.ljust(576, b"\0")))
    places = {span.number: span for span in snapshot.spans(view.before)}
    for span in _spans(snapshot, view):
        there = places.get(span.number)
        moved = span.number == _PKRU and snapshot.pkru_moved
        if there is None or not used >> span.number & 1 or moved:
            continue
        if _loaded(snapshot, view.xsave, span) != _loaded(snapshot, view.before, there):
            name = component_name(span.number)
            read = f"{name} is not what the task's memory had at entry"
            yield _finding(view, "FRAMEDIFF", view.frame.base + span.offset, read, _NOT_ITS, name)


def _loaded(snapshot: Snapshot, image: bytes, span: Span) -> bytes | None:
    """Return what a save of just loaded registers writes of a component."""
    data = significant(image, span)
    if data is None or span.number or not leaves_pointers(snapshot):
        return data
    return data[:5] + data[23:]  # without FOP, FIP and FDP


def _against_registers(view: FrameView) -> Iterator[Result]:
    for name, value in (view.registers or {}).items():
        place = FXSAVE_PLACES[name]
        if view.xsave[place : place + len(value)] != value:
            yield _finding(
                view,
                "FRAMEDIFF",
                view.frame.base + place,
                f"{name} is not what the CPU had at entry",
                _NOT_ITS,
                "SSE" if name[0] in "xm" else "x87",
            )
