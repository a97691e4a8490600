# SPDX-License-Identifier: GPL-2.0-or-later
"""What the verbs of `fpu-trace` do."""

from __future__ import annotations

from contextlib import suppress

from gdbfpu.commands.fast_options import recording_of
from gdbfpu.commands.trace_options import TraceClear, TraceOff, TraceOn, TraceProbes, TraceStatus
from gdbfpu.dbg.live import Live
from gdbfpu.dbg.planting import Plan
from gdbfpu.dbg.session import Session
from gdbfpu.dbg.terminal import hit_width, say, tell
from gdbfpu.dbg.threads import selected_thread
from gdbfpu.errors import CorruptState, GdbFpuError, MemoryFault
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.probes import catalogue as probes
from gdbfpu.text.counted import counted
from gdbfpu.text.fit import Fit
from gdbfpu.text.names import named
from gdbfpu.text.screen import Screen
from gdbfpu.text.table import table
from gdbfpu.trace.hit_text import hit_heading
from gdbfpu.trace.kept import Kept
from gdbfpu.trace.tracer import Options, Tracer

__all__ = (
    "begin",
    "pass_here",
    "trace_clear",
    "trace_off",
    "trace_on",
    "trace_probes",
    "trace_status",
)


def begin(session: Session, options: TraceOn, kept: Kept | None = None) -> tuple[str, ...]:
    """Plant the probes; return a line about each, and about each left out.

    `kept` gets the hits. Raises GdbFpuError; then nothing is planted.
    """
    how = Options(
        state=options.state,
        backtrace=options.backtrace,
        limit=options.limit,
        pids=options.pids,
        comms=options.comms,
        quiet=options.quiet or options.top,
        audit=options.audit,
        condition=options.condition,
        stop=options.stop,
    )
    recording = recording_of(options)
    live = Live() if options.top else None
    chosen = probes.select(session.model.kernel.stopped(), options.probes, options.groups)
    plan = Plan(chosen, options.probes, options.step)
    why: tuple[str, ...] = ()
    if recording is not None:
        try:
            return session.on_fast(how, plan, recording, options.out, kept)
        except GdbFpuError as error:
            if options.fast != "auto":
                raise
            why = (f"{error}; so the kernel stops at each hit",)
    lines = session.on(how, plan, options.out, kept)
    session.live = live
    return (*why, *lines)


def trace_on(session: Session, options: TraceOn, _screen: Screen) -> None:
    """Plant the probes, and say how each resumes."""
    for line in begin(session, options):
        tell(f"fpu-trace: {line}")
    for note in _nobody(session.model.kernel, options):
        tell(f"fpu-trace: {note}")
    if options.top:
        tell("fpu-trace: the table appears with the first hit")
    elif not options.quiet and session.breakpoints:
        say(hit_heading(hit_width(), options.backtrace))
    pass_here(session)


def pass_here(session: Session) -> None:
    """Take the hit of a probe that the kernel stands on; GDB would have to step over the probe."""
    here = session.target.register("rip")
    for point in session.breakpoints:
        stepless = point.resume is not None or point.held
        if point.address == here and point.enabled and stepless:
            point.stop()


def _nobody(kernel: Kernel, options: TraceOn) -> list[str]:
    """Return a note on each filter that no task passes now; a matching task may start later."""
    pids, comms = list(options.pids), list(options.comms)
    with suppress(CorruptState, MemoryFault):
        for task in kernel.tasks() if pids or comms else ():
            pids = [pid for pid in pids if pid != task.pid]
            comms = [comm for comm in comms if not named(task.comm, comm)]
            if not pids and not comms:
                break
    return [
        *(f"note: no task has pid {pid} now" for pid in pids),
        *(f"note: no task is called {comm!r} now" for comm in comms),
    ]


def trace_off(session: Session, _: TraceOff, _screen: Screen) -> None:
    """Turn tracing off, and say how many hits there were."""
    if session.off():
        say(f"fpu-trace: off; {counted(session.totals.hits, 'hit')} so far")
        return
    restored = _restored(session)
    for line in restored:
        tell(f"fpu-trace: {line}")
    if not restored:
        say("fpu-trace: tracing is off; no probe is in the kernel")


def _restored(session: Session) -> tuple[str, ...]:
    """Restore what a debugger that died has left in the kernel; return a line about each."""
    # Both import capstone, which is slow.
    from gdbfpu.dbg.abandoned import clear_stub
    from gdbfpu.dbg.fast_begin import restore_kernel

    if selected_thread() is None or not session.target.stub.runs:
        return ()
    target, kernel = session.target, session.model.kernel
    cleared = clear_stub(target, kernel, session)
    return (*cleared, *restore_kernel(target, kernel, session.build_id))


def trace_status(session: Session, _: TraceStatus, _screen: Screen) -> None:
    """Say what is traced, how each probe resumes, and how many hits there were."""
    session.collect()
    totals, tracer = session.totals, session.tracer
    on, tasks = session.tracing, len(totals.tasks) + totals.folded
    say(
        f"tracing is {'on' if on else 'off'}; {counted(totals.hits, 'hit')} of "
        f"{counted(tasks, 'task')}, "
        f"{totals.filtered} filtered out{_layouts(tracer)}"
    )
    if tracer is not None and tracer.seq < totals.hits:
        say(f"  of these, in the {'present' if on else 'last'} trace: {counted(tracer.seq, 'hit')}")
    for point in session.breakpoints:
        tell(f"  {point.describe()}: passed {counted(point.passes, 'time')}")
    for line in session.fast.describe() if session.fast is not None else ():
        tell(f"  {line}")
    if on and tracer is not None and tracer.writer is not None:
        say(f"  hits are written to {tracer.writer.path}")
    for reason, count in totals.errors.items():
        say(f"  not recorded: {counted(count, 'time')} {reason}")


def _layouts(tracer: Tracer | None) -> str:
    return f"; layouts from {tracer.model.kernel.layouts.origin}" if tracer is not None else ""


def trace_clear(session: Session, _: TraceClear, _screen: Screen) -> None:
    """Forget all totals."""
    session.collect()
    session.clear()
    say("fpu-trace: totals cleared")


def trace_probes(session: Session, options: TraceProbes, screen: Screen) -> None:
    """List the functions that can be probed, and which of them this kernel has."""
    machine = session.model.kernel.stopped()
    rows = []
    for probe in probes.CATALOGUE:
        if not options.groups or probe.job.group in options.groups:
            address = machine.symbol_address(probe.function)
            era = f"{probe.since} to {probe.until}" if probe.until else f"since {probe.since}"
            why = probes.unavailable(machine, probe)
            where = why if address is None or why else f"{address:#x}"
            rows.append((probe.job.group, probe.function, where, era, probe.job.purpose))
    headers = ("group", "function", "address, or why not", "kernels", "what it does")
    say(table(rows, headers, (), screen, Fit(drop=("kernels",), wrap=headers[2:])))
