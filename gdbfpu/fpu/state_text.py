# SPDX-License-Identifier: GPL-2.0-or-later
"""Format a task's FPU state as text and as an object for JSON. Nothing here prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gdbfpu.fpu.state import TaskState
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.xsave.area import in_use, parse_header
from gdbfpu.xsave.differences import difference_table, differing
from gdbfpu.xsave.text import render_table, to_json

__all__ = ("diff_json", "diff_table", "state_json", "state_raw", "state_table")

_LINE = 32  # bytes of a dump on one line
_DUMP = 80  # columns of that line


def state_table(state: TaskState, components: Sequence[str], screen: Screen = PLAIN) -> str:
    """Return `state` for people: the task, where its values are, components, registers."""
    sources = {r.name: state.source(r.name) for r in state.image.registers} if state.live else None
    return f"{_head(state, screen)}\n{render_table(state.image, components, sources, screen)}"


def state_json(state: TaskState, components: Sequence[str]) -> dict[str, Any]:
    """Return `state` as an object for `json.dumps`; docs/decode.schema.json describes it."""
    data = to_json(state.image, components)
    for name, register in data["registers"].items():
        register["source"] = state.source(name)
    return {"task": _task_json(state), **data}


def state_raw(state: TaskState, components: Sequence[str], screen: Screen = PLAIN) -> str:
    """Return each component's bytes in memory, even if the header marks it as initial."""
    chosen = [state.image.component(name) for name in components] or state.image.components
    lines = [_head(state, screen)]
    header = parse_header(state.raw) if state.image.xfeatures is not None else None
    for component in chosen:
        bit = header is None or in_use(header) >> component.number & 1
        used = "in use" if bit else "initial according to the header"
        lines.append(f"\n{component.name}, {used}")
        start = component.offset or 0
        raw = state.raw[start : start + (component.size or 0)]
        step = _LINE if not screen.width or screen.width >= _DUMP else _LINE // 2
        for at in range(0, len(raw), step):
            lines.append(f"  {start + at:5}: {raw[at : at + step].hex(' ', 4)}")
    return "\n".join(lines)


def diff_table(
    one: TaskState, other: TaskState, components: Sequence[str], screen: Screen = PLAIN
) -> str:
    """Return a table of the registers that differ between two states."""
    names = [f"{s.task.comm} ({s.task.pid})" for s in (one, other)]
    heads = f"{_head(one, screen)}\n{_head(other, screen)}\n\n"
    return heads + difference_table(one.image, other.image, names, components, screen)


def diff_json(one: TaskState, other: TaskState, components: Sequence[str]) -> dict[str, Any]:
    """Return the registers that differ between two states, as `#/$defs/diff` of the schema."""
    registers = {
        name: [register.raw.hex() if register else None for register in pair]
        for name, *pair in differing(one.image, other.image, components)
    }
    return {"tasks": [_task_json(one), _task_json(other)], "registers": registers}


def _head(state: TaskState, screen: Screen) -> str:
    task = state.task
    text = (
        f"task       {task.comm} (pid {task.pid}, tgid {task.tgid}), "
        f"task_struct {task.address:#x}, struct fpu {state.fpu:#x}\n"
        f"truth      {state.truth}"
    )
    return screen.wrapped(text, " " * 11)


def _task_json(state: TaskState) -> dict[str, Any]:
    return {
        "pid": state.task.pid,
        "tgid": state.task.tgid,
        "comm": state.task.comm,
        "task": f"{state.task.address:#x}",
        "fpu": f"{state.fpu:#x}",
        "cpu": state.cpu,
        "live": state.loaded,
        "truth": state.truth,
    }
