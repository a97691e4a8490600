# SPDX-License-Identifier: GPL-2.0-or-later
"""Format one hit of an event file as text and as an object for JSON."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from gdbfpu.report.whole_hit import WholeHit
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.xsave import features
from gdbfpu.xsave.image import FpuImage
from gdbfpu.xsave.live import source_of
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
    if facts.live and not one.live:
        lines.append("note       the image is from memory: the CPU has newer registers")
    sources = {each.name: source_of(each.name, one.live) for each in one.image.registers}
    table = render_table(one.image, sources=sources if one.live else None, screen=screen)
    head = screen.wrapped("\n".join(lines), _INDENT)
    return f"{head}\n\n{table}"


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
        "image": None if one.image is None else _image_json(one.image, one.live),
    }


def _image_json(image: FpuImage, live: Collection[str]) -> dict[str, Any]:
    data = to_json(image)
    for name, register in data["registers"].items() if live else ():
        register["source"] = source_of(name, live)
    return data
