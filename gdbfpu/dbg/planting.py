# SPDX-License-Identifier: GPL-2.0-or-later
"""Plant what a trace needs, or say why a probe cannot be planted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gdbfpu.audit.watch import job_of
from gdbfpu.dbg.breakpoints import ProbeBreakpoint, ReturnBreakpoint, Site
from gdbfpu.dbg.point import Host, Point
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import MemoryFault, UsageError
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.jobs import Job
from gdbfpu.trace.tracer import Tracer
from gdbfpu.trace.users import waits_for_frames

if TYPE_CHECKING:
    from gdbfpu.probes.resume import Resume

__all__ = ("Plan", "plant", "sites")

_NEAR = 2048  # bytes after a function to search for the RET of another one


@dataclass(frozen=True)
class Plan:
    """What to plant: the probes `chosen`, each with its function's address.

    `required` are the functions that must not be left out, because the user named them. With
    `step`, a probe is planted even if GDB has to step over it in KGDB with several CPUs.
    """

    chosen: tuple[tuple[Probe, int], ...]
    required: tuple[str, ...] = ()
    step: bool = False


def sites(
    target: GdbTarget, plan: Plan, kernel: Kernel
) -> tuple[tuple[Site, ...], tuple[str, ...]]:
    """Return where to plant, and a line about each function that is left out and why.

    If no instruction of a probe qualifies, a CPU steps while KGDB holds the others. Where that is
    not possible, GDB has to step, which lets the other CPUs run. They pass the probe unseen, or
    their own hit ends GDB, and the kernel stays in KGDB. Raises UsageError if GDB would have to
    step there over a required probe, or over every probe.
    """
    probed = [entry for _, entry in plan.chosen]
    found = [site for one in plan.chosen for site in _places(target, *one, probed)]
    found = _stepped(target, kernel, found)
    cpus = len(kernel.online_cpus())
    if plan.step or not target.stub.in_kernel or cpus < 2:
        return tuple(found), ()
    kept = tuple(site for site in found if site.resume is not None or site.held)
    refused = [site.probe.function for site in found if site not in kept]
    why = f"GDB would have to step, which hangs a kernel with {cpus} CPUs in KGDB"
    if not kept or set(refused) & set(plan.required):
        raise UsageError(f"cannot probe {', '.join(refused)}: {why} (--step probes them anyway)")
    return kept, tuple(f"{name} is left out: {why} (--step plants it anyway)" for name in refused)


def _stepped(target: GdbTarget, kernel: Kernel, found: Sequence[Site]) -> list[Site]:
    """Return the sites `found`, with `held` where the kernel can step with its other CPUs held."""
    if all(site.resume is not None for site in found):
        return list(found)
    from gdbfpu.dbg.one_step import can_hold
    from gdbfpu.probes.stepping import can_step

    possible = can_hold(target, kernel)
    return [
        replace(site, held=possible and can_step(target.function_code(site.entry), site.entry))
        if site.resume is None
        else site
        for site in found
    ]


def _places(target: GdbTarget, probe: Probe, entry: int, probed: Sequence[int]) -> tuple[Site, ...]:
    """Return where to plant `probe`: in the prologue, or where the function returns.

    Raises UsageError if not all of these returns are known. `probed` is as for `_returns`.
    """
    from gdbfpu.probes.resume import choose  # imports capstone, which is slow

    if not probe.refusal:
        resume = choose(target.function_code(entry), entry, probe.registers)
        return (Site(probe, entry, resume),)
    ends = _returns(target, (entry,), probed)[entry]
    if not ends:
        raise UsageError(f"cannot probe {probe.function}: not all of its returns can be seen")
    return tuple(Site(probe, entry, resume) for resume in ends)


def plant(target: GdbTarget, chosen: Sequence[Site], tracer: Tracer, host: Host) -> Iterator[Point]:
    """Plant a probe at each of `chosen`, one after another, and yield them.

    If `tracer` audits, or if signal frames may show who uses the FPU, the breakpoints at a
    function's returns come before the breakpoint at its entry. So if we see a call begin, we also
    see it return. A function is not audited if we cannot see all of its returns.
    """
    audit = tracer.options.audit
    watched = {s.entry: job_of(s.probe) for s in chosen if audit and job_of(s.probe)}
    ends = {entry for entry, job in watched.items() if job is not Job.FAULT}
    if tracer.options.state != "none":
        ends |= {s.entry for s in chosen if waits_for_frames(s.probe, tracer.looks)}
    returns = _returns(target, sorted(ends), sorted({site.entry for site in chosen}))
    for site in chosen:
        audited = returns.get(site.entry) != () if site.entry in watched else None
        points: list[ReturnBreakpoint] = []
        for resume in returns.get(site.entry, ()):
            points.append(
                ReturnBreakpoint(target, site.probe, resume, tracer, host, bool(audited), points)
            )
            yield points[-1]
        yield ProbeBreakpoint(target, site, tracer, host, audited, points)


def _returns(
    target: GdbTarget, entries: Sequence[int], probed: Sequence[int]
) -> dict[int, tuple[Resume, ...]]:
    """Return where each function that begins at one of `entries` returns.

    A function has an empty tuple if we cannot see all of its returns. To resume from a breakpoint
    at a RET, we jump to another RET, outside all functions that begin at `probed`. All tuples are
    empty if there is no such RET.
    """
    from gdbfpu.probes.returns import exits, find_ret

    if not entries:
        return {}
    thunk = target.symbol_address("__x86_return_thunk")
    codes = {entry: target.function_code(entry) for entry in probed}
    taken = [range(entry, entry + len(code)) for entry, code in codes.items()]
    spare = None
    for entry, code in codes.items():
        end = entry + len(code)
        with suppress(MemoryFault):  # the text may end there
            spare = spare or find_ret(target.read_memory(end, _NEAR), end, taken)
    if spare is None:
        return dict.fromkeys(entries, ())
    return {entry: exits(target.whole_function, entry, thunk, spare) for entry in entries}
