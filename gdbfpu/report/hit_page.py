# SPDX-License-Identifier: GPL-2.0-or-later
"""Format one hit of an event file as text and as an object for JSON."""

from __future__ import annotations

import time
from typing import Any

from gdbfpu.report.whole_hit import WholeHit
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.xsave import features
from gdbfpu.xsave.text import render_table, to_json

__all__ = ("hit_heading", "hit_json", "hit_page")

_INDENT = " " * 11


def hit_page(one: WholeHit, screen: Screen = PLAIN) -> str:
    """Return a hit for people: who, where, the header, what is known, the registers."""
    task, (function, *callers), facts = one.hit
    lines = [
        hit_heading(one),
        f"task       {task.comm} (pid {task.pid}, tgid {task.tgid}), "
        f"task_struct {task.address:#x}, struct fpu {one.fpu:#x}",
        f"path       {' < '.join((function, *callers))}",
        f"registers  {f'live in CPU {facts.cpu}' if facts.live else 'in memory'}",
    ]
    if one.caller_pid != task.pid:
        lines.append(f"running    {one.caller} (pid {one.caller_pid})")
    if one.xcomp_bv is not None:
        lines.append(f"xfeatures  {facts.mask:#x} {features.describe(facts.mask)}")
        lines.append(f"xcomp_bv   {one.xcomp_bv:#x}")
    if one.use is not None:
        lines.append(f"uses FPU   {one.use.answer.value}: {one.use.why}")
    if one.findings is not None:
        lines += [f"audit      {finding}" for finding in one.findings or ("no findings",)]
    if one.image is None:
        lines.append("image      not recorded: use `fpu-trace on --state full`")
        return screen.wrapped("\n".join(lines), _INDENT)
    stale = "\nnote       the image is from memory: the CPU has newer registers"
    head = screen.wrapped("\n".join(lines), _INDENT) + (stale if facts.live else "")
    return f"{head}\n\n{render_table(one.image, screen=screen)}"


def hit_heading(one: WholeHit) -> str:
    """Return which hit it is: its number, its CPU and its time."""
    facts = one.hit[2]
    seconds, rest = divmod(facts.time_ns, 1_000_000_000)
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    return f"hit        {one.seq} on CPU {facts.cpu} at {clock}.{rest // 1_000_000:03d}"


def hit_json(one: WholeHit) -> dict[str, Any]:
    """Return a hit as an object for `json.dumps`; docs/data.md describes its keys."""
    task, (function, *callers), facts = one.hit
    return {
        "seq": one.seq,
        "time_ns": facts.time_ns,
        "function": function,
        "backtrace": callers,
        "cpu": facts.cpu,
        "pid": task.pid,
        "tgid": task.tgid,
        "comm": task.comm,
        "task": f"{task.address:#x}",
        "fpu": f"{one.fpu:#x}",
        "live": facts.live,
        "caller_pid": one.caller_pid,
        "caller_comm": one.caller,
        "uses_fpu": one.use.answer.to_json() if one.use else None,
        "why": one.use.why if one.use else "",
        "findings": None if one.findings is None else list(one.findings),
        "image": None if one.image is None else to_json(one.image),
    }
