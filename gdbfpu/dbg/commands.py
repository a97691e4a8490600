# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands of GDB do, once `gdbfpu.dbg.declared` has parsed their options."""

from __future__ import annotations

from typing import Any, Callable

from gdbfpu.commands.audit_options import AuditOptions
from gdbfpu.commands.doctor_options import DoctorOptions
from gdbfpu.commands.info import info_text
from gdbfpu.commands.info_options import InfoOptions
from gdbfpu.commands.output import output
from gdbfpu.commands.report import report_text
from gdbfpu.commands.report_options import ReportOptions
from gdbfpu.commands.state import frame_text, state_text
from gdbfpu.commands.state_options import StateOptions
from gdbfpu.commands.trace_options import TraceClear, TraceOff, TraceOn, TraceProbes, TraceStatus
from gdbfpu.dbg.audit_command import audit
from gdbfpu.dbg.doctor_command import doctor
from gdbfpu.dbg.from_cpu import from_cpu
from gdbfpu.dbg.progress import Progress
from gdbfpu.dbg.session import Session, session
from gdbfpu.dbg.signal_frame import frame_address
from gdbfpu.dbg.terminal import say
from gdbfpu.dbg.trace_command import trace_clear, trace_off, trace_on, trace_probes, trace_status
from gdbfpu.report.event_lines import open_events
from gdbfpu.report.from_events import report_of_files
from gdbfpu.report.report import collect
from gdbfpu.text.screen import Screen

__all__ = ("run",)


def run(options: Any, screen: Screen) -> None:
    """Run the command whose parser returned `options`.

    The text that the command prints is made to fit `screen`.
    """
    _ACTIONS[type(options)](session(), options, screen)


def _info(session: Session, options: InfoOptions, screen: Screen) -> None:
    model = session.model
    with from_cpu(session, options.from_cpu, image=False):
        say(info_text(model, session.build_id, options, screen))


def _state(session: Session, options: StateOptions, screen: Screen) -> None:
    if options.sigframe is not None:
        address = frame_address(session.target, options.sigframe)
        say(frame_text(session.model, address, options, screen))
    else:
        with from_cpu(session, options.from_cpu and not options.raw):  # which is memory's
            say(state_text(session.model, options, screen))


def _report(session: Session, options: ReportOptions, screen: Screen) -> None:
    with output(options.out, say) as put:
        if options.events is not None:
            with open_events(options.events, Progress(f"lines of {options.events}")) as lines:
                report = report_of_files((lines,))
        else:
            session.collect()
            report = collect(session.looks, session.totals, Progress("tasks"))
        put(report_text(report, options, screen))


_ACTIONS: dict[type, Callable[[Session, Any, Screen], None]] = {
    TraceOn: trace_on,
    TraceOff: trace_off,
    TraceStatus: trace_status,
    TraceClear: trace_clear,
    TraceProbes: trace_probes,
    ReportOptions: _report,
    InfoOptions: _info,
    StateOptions: _state,
    AuditOptions: audit,
    DoctorOptions: doctor,
}
