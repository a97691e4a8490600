# SPDX-License-Identifier: GPL-2.0-or-later
"""Answer `fpu-audit` and `gdbfpu audit`: from model and options to the audit and its text."""

from __future__ import annotations

from collections.abc import Callable

from gdbfpu.audit.bytemap import map_json, map_table, read_map
from gdbfpu.audit.engine import Audit, audit, audit_frame
from gdbfpu.audit.frame_view import FrameView
from gdbfpu.audit.inject import Writable, Write, frame_writes, planted, writes_for
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.audit.text import audit_json, audit_sarif, audit_table
from gdbfpu.commands.audit_options import AuditOptions
from gdbfpu.errors import UsageError
from gdbfpu.fpu.model import FpuModel
from gdbfpu.fpu.state import find_task, frame_bytes
from gdbfpu.kernel.tasks import Task
from gdbfpu.text.json_text import json_text
from gdbfpu.text.screen import PLAIN, Screen

__all__ = ("FOUND", "audit_text", "map_text", "run_audit", "run_frame_audit", "run_injected_audit")

FOUND = 3
"""The exit status after an audit that found errors or warnings, or could not read everything.

It is that of `gdbfpu audit`, and of a GDB in which `fpu-audit --fail` was run. A command that fails
ends `gdbfpu` with status 1."""


def run_audit(model: FpuModel, options: AuditOptions, progress: Callable[[int], None]) -> Audit:
    """Return the audit of the task that `options` name, or of all tasks; raise UsageError."""
    task = None if options.all else _user_task(model, options)
    return audit(Snapshot(model), task, progress)


def run_injected_audit(
    model: FpuModel,
    options: AuditOptions,
    progress: Callable[[int], None],
    target: Writable,
) -> Audit:
    """Return the audit of all tasks with a defect planted in the task that `options` name.

    The defect is written to `target` and removed after the audit. Raises UsageError if the defect
    cannot be planted, or without `--laboratory`.
    """
    _must_be_laboratory(options)
    snapshot = Snapshot(model)
    writes = writes_for(snapshot, options.inject, snapshot.view(_user_task(model, options)))
    with planted(target, writes):
        return audit(Snapshot(model), None, progress)


def run_frame_audit(
    model: FpuModel, options: AuditOptions, address: int, target: Writable
) -> Audit:
    """Return the audit of the signal frame at user `address` of the running task."""
    task = model.kernel.current()[1]
    writes: tuple[Write, ...] = ()
    if options.inject:
        _must_be_laboratory(options)
        writes = frame_writes(options.inject, address, frame_bytes(model, task, address))
    with planted(target, writes):
        snapshot = Snapshot(model)
        fields = snapshot.view(task).fields
        view = FrameView(
            task=task,
            address=address,
            image=frame_bytes(model, task, address),
            size=fields.get("fpstate.user_size", 0),
            mask=fields.get("fpstate.user_xfeatures", 0),
        )
        return audit_frame(snapshot, view)


def _must_be_laboratory(options: AuditOptions) -> None:
    if not options.laboratory:
        raise UsageError(
            "--inject writes to the running kernel's memory: add --laboratory if this is a "
            "laboratory machine"
        )


def _user_task(model: FpuModel, options: AuditOptions) -> Task:
    task = find_task(model, options.task, options.comm)
    if task.kthread:
        raise UsageError(
            f"{task.comm} (pid {task.pid}) is a kernel thread and has no FPU state: "
            "name another task or use --all"
        )
    return task


def audit_text(found: Audit, options: AuditOptions, screen: Screen = PLAIN) -> str:
    """Return the text of `found` that `fpu-audit` prints on `screen` or writes to a file."""
    paper = PLAIN if options.out else screen
    if options.format == "json":
        return json_text(audit_json(found, options.reveal), paper, 1)
    if options.format == "sarif":
        return json_text(audit_sarif(found, options.reveal), paper, 1)
    return audit_table(found, options.reveal, paper)


def map_text(model: FpuModel, options: AuditOptions, screen: Screen = PLAIN) -> str:
    """Return the byte map that `fpu-audit --map` prints; raise UsageError if there is none."""
    if options.format == "sarif":
        raise UsageError("--map cannot be written as SARIF: use --format json or table")
    snapshot = Snapshot(model, gaps=True)
    found = read_map(snapshot, snapshot.view(_user_task(model, options)))
    paper = PLAIN if options.out else screen
    if options.format == "json":
        return json_text(map_json(found, options.reveal), paper, 1)
    return map_table(found, options.reveal, paper)
