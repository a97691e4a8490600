# SPDX-License-Identifier: GPL-2.0-or-later
"""What `fpu-audit` does."""

from __future__ import annotations

import contextlib

from gdbfpu.audit.engine import Audit
from gdbfpu.commands.audit import (
    FOUND,
    audit_text,
    map_text,
    run_audit,
    run_frame_audit,
    run_injected_audit,
)
from gdbfpu.commands.audit_options import AuditOptions
from gdbfpu.commands.output import output
from gdbfpu.dbg.exit_status import end_with
from gdbfpu.dbg.from_cpu import from_cpu
from gdbfpu.dbg.progress import Progress
from gdbfpu.dbg.session import Session
from gdbfpu.dbg.signal_frame import frame_address
from gdbfpu.dbg.terminal import say
from gdbfpu.errors import GdbFpuError
from gdbfpu.text.screen import Screen

__all__ = ("audit",)


def audit(session: Session, options: AuditOptions, screen: Screen) -> None:
    """Audit what `options` name, or make a byte map of it; write or print the result.

    With `fail`, raise GdbFpuError unless the audit is sound. Whatever it fails for, GDB then ends
    with status FOUND.
    """
    with contextlib.ExitStack() as failed:
        if options.fail:
            failed.callback(end_with, FOUND)
        found = _shown(session, options, screen)
        if options.fail and found is not None and not found.sound:
            raise GdbFpuError(f"--fail: the verdict is `{found.verdict}`")
        failed.pop_all()


def _shown(session: Session, options: AuditOptions, screen: Screen) -> Audit | None:
    """Write or print what `options` ask for; return the audit, None after a byte map."""
    with output(options.out, say) as put:
        if options.map:
            put(map_text(session.model, options, screen))
            return None
        found = _audited(session, options)
        put(audit_text(found, options, screen))
        return found


def _audited(session: Session, options: AuditOptions) -> Audit:
    if options.sigframe is not None:
        address = frame_address(session.target, options.sigframe)
        return run_frame_audit(session.model, options, address, session.target)
    progress = Progress("tasks")
    if options.inject:
        return run_injected_audit(session.model, options, progress, session.target)
    with from_cpu(session, options.from_cpu):
        found = run_audit(session.model, options, progress)
    session.totals.take(found)
    return found
