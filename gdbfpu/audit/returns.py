# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules that hold when a kernel function returns: fork, exec, sigreturn; and one on a fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gdbfpu.audit.finding import Finding, Result, name_of
from gdbfpu.audit.header import xcomp
from gdbfpu.audit.legacy import mxcsr
from gdbfpu.audit.ownership import owner
from gdbfpu.audit.paths import export_paths
from gdbfpu.audit.snapshot import Snapshot, TaskView
from gdbfpu.audit.stale import stale
from gdbfpu.xsave.area import residue
from gdbfpu.xsave.features import component_name

__all__ = ("execed", "forked", "restoregp", "sanitized", "sigrest")


def forked(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding for each stale component that a child got with its parent's area.

    4.2 to 4.9, lazily switching, and 5.2 to 5.13, with TIF_NEED_FPU_LOAD set, copy the area as it
    is; 3.10 does after unlazying it.
    """
    for finding in stale(snapshot, view):
        if isinstance(finding, Finding):
            about = f"a child of {name_of(view.task)}"  # it has its parent's pid still
            why = f"the child begins with it, and {finding.why}"
            yield replace(finding, rule="FORK", about=about, why=why)


def execed(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding for what the program before left in the area of one that begins.

    Fixed by b22cbe404a9c (4.9, and 4.8.15): before, registers only were reset. What the header
    still has in use is overwritten by the next save, but up to 4.7 it is exported before.
    """
    raw = [path.name for path in export_paths(snapshot) if path.raw]
    if not raw:
        yield from (
            replace(f, rule="EXEC") for f in stale(snapshot, view) if isinstance(f, Finding)
        )
        return
    for span in snapshot.spans(view.image):
        places = residue(view.image, span)
        if places:
            yield Finding(
                rule="EXEC",
                severity="error",
                about=view.task,
                component=component_name(span.number),
                read=f"{len(places)} of {span.size} bytes are the old program's, from byte "
                f"{places[0]}",
                address=view.at + places[0],
                why=f"they are copied to user space as they are by {' and '.join(raw)}",
                evidence=bytes(view.image[place] for place in places),
            )


def sanitized(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding for each component that is stale still when the sanitizer returns.

    Without XSAVEOPT it has nothing to do and returns at once: then nothing is stale.
    """
    for finding in stale(snapshot, view):
        if isinstance(finding, Finding):
            why = "the sanitizer left it, and what is exported next takes it along"
            yield replace(finding, rule="SANITIZE", severity="error", why=why)


def sigrest(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding for what sigreturn left that it should have refused: CVE-2021-47226, -47227.

    Whether it loaded the user's frame or failed, the task's area passes XCOMP and MXCSR, and
    registers that count as loaded are its own.
    """
    found = [*xcomp(snapshot, view), *mxcsr(snapshot, view)]
    if view.cpu is not None:
        found += owner(snapshot, snapshot.cpu(view.cpu))
    for result in found:
        if isinstance(result, Finding):
            yield replace(result, rule="SIGREST", why=f"after sigreturn: {result.why}")


def restoregp(snapshot: Snapshot, view: TaskView) -> Iterator[Result]:
    """Yield a finding at each passage of the function that resets a state the CPU refused.

    ex_handler_fprestore (4.14 to 5.15), fpu_reset_from_exception_fixup: "Bad FPU state detected".
    """
    header = view.header
    words = "no XSAVE header" if header is None else (
        f"xfeatures {header.xfeatures:#x}, xcomp_bv {header.xcomp_bv:#x}"
    )  # fmt: skip
    yield Finding(
        rule="RESTOREGP",
        severity="error",
        about=view.task,
        read=f"the CPU refused to load a state; the task's area has {words}",
        address=view.at,
        why="the task goes on with the initial state instead of its own",
    )
