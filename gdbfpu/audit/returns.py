# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules that hold when a kernel function returns (fork, exec, sigreturn), and a rule on faults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gdbfpu.audit.finding import Severity, name_of
from gdbfpu.audit.header import xcomp
from gdbfpu.audit.legacy import mxcsr
from gdbfpu.audit.ownership import owner
from gdbfpu.audit.paths import export_paths
from gdbfpu.audit.rule import Defect, Outcome, Scope, rule
from gdbfpu.audit.snapshot import Snapshot, TaskView
from gdbfpu.audit.stale import stale
from gdbfpu.xsave.area import residue
from gdbfpu.xsave.features import component_name

__all__ = ("execed", "forked", "restoregp", "sanitized", "sigrest")


@rule(
    "SANITIZE",
    scope=Scope.SANITIZE,
    severity=Severity.ERROR,
    invariant="No stale byte is left when the sanitizer returns.",
)
def sanitized(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for each component that is still stale when the sanitizer returns.

    Without XSAVEOPT nothing is stale, and the sanitizer returns at once.
    """
    why = "the sanitizer did not clean these bytes, and the next export includes them"
    for defect in _stale(snapshot, view):
        yield replace(defect, severity=None, why=why)


@rule(
    "FORK",
    scope=Scope.FORK,
    severity=Severity.ERROR,
    invariant="A child starts without stale bytes.",
)
def forked(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for each stale component that a child got with its parent's area.

    Kernels copy the area unchanged in 4.2 to 4.9 with lazy switching, and in 5.2 to 5.13 with
    TIF_NEED_FPU_LOAD set. 3.10 does so, too, after it has saved lazy registers.
    """
    for defect in _stale(snapshot, view):
        about = f"a child of {name_of(view.task)}"  # it still has its parent's pid
        why = f"the child starts with stale bytes, and {defect.why}"
        yield replace(defect, about=about, why=why)


@rule(
    "EXEC",
    scope=Scope.EXEC,
    severity=Severity.ERROR,
    invariant="A program starts without bytes of the previous program.",
)
def execed(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for bytes that the old program left in the area of a new one.

    b22cbe404a9c (4.9, and 4.8.15) fixes this: before that commit, exec reset only the registers.
    The next save overwrites the components in use. But up to 4.7, the old bytes can be exported
    before that save.
    """
    raw = [path.name for path in export_paths(snapshot) if path.raw]
    if not raw:
        yield from _stale(snapshot, view)
        return
    for span in snapshot.spans(view.image):
        places = residue(view.image, span)
        if places:
            yield Defect(
                about=view.task,
                component=component_name(span.number),
                read=f"{len(places)} of {span.size} bytes are the old program's, from byte "
                f"{places[0]}",
                address=view.at + places[0],
                why=f"they reach user space unchanged through {' and '.join(raw)}",
                evidence=bytes(view.image[place] for place in places),
            )


@rule(
    "SIGREST",
    scope=Scope.SIGRETURN,
    severity=Severity.ERROR,
    invariant="After sigreturn, the area can be loaded and loaded registers are the task's own.",
)
def sigrest(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for state that sigreturn should have refused: CVE-2021-47226, -47227.

    Whether sigreturn loaded the user's frame or failed, the task's area must pass XCOMP and
    MXCSR, and registers that count as loaded must be the task's own.
    """
    found = [*xcomp.check(snapshot, view), *mxcsr.check(snapshot, view)]
    if view.cpu is not None:
        found += owner.check(snapshot, snapshot.cpu(view.cpu))
    for defect in _defects(found):
        yield replace(defect, why=f"after sigreturn: {defect.why}")


@rule(
    "RESTOREGP",
    scope=Scope.FAULT,
    severity=Severity.ERROR,
    invariant="The CPU never refuses to load a state.",
)
def restoregp(snapshot: Snapshot, view: TaskView) -> Iterator[Outcome]:
    """Yield a defect for each call of the function that resets a state the CPU refused to load.

    The function is ex_handler_fprestore (4.14 to 5.15) or fpu_reset_from_exception_fixup. It
    prints the warning "Bad FPU state detected".
    """
    header = view.header
    words = "no XSAVE header"
    if header is not None:
        words = f"xfeatures {header.xfeatures:#x}, xcomp_bv {header.xcomp_bv:#x}"
    yield Defect(
        about=view.task,
        read=f"the CPU refused to load a state; the task's area has {words}",
        address=view.at,
        why="the task continues with the initial state instead of its own",
    )


def _stale(snapshot: Snapshot, view: TaskView) -> Iterator[Defect]:
    return _defects(stale.check(snapshot, view))


def _defects(said: Iterable[Outcome]) -> Iterator[Defect]:
    return (one for one in said if isinstance(one, Defect))
