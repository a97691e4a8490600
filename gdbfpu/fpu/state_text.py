# SPDX-License-Identifier: GPL-2.0-or-later
"""Format a task's FPU state as text and as an object for JSON. Nothing here prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gdbfpu.fpu.state import TaskState
from gdbfpu.text.fit import Fit
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.text.table import table
from gdbfpu.xsave.area import in_use, parse_header
from gdbfpu.xsave.components.views import Register
from gdbfpu.xsave.text import render_table, to_json, value_lines

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
    rows = [(name, _value(a), _value(b)) for name, a, b in _differing(one, other, components)]
    names = [f"{s.task.comm} ({s.task.pid})" for s in (one, other)]
    heads = f"{_head(one, screen)}\n{_head(other, screen)}\n\n"
    if not rows:
        return f"{heads}no register differs"
    return heads + table(rows, ("register", *names), (), screen, Fit(wrap=tuple(names)))


def diff_json(one: TaskState, other: TaskState, components: Sequence[str]) -> dict[str, Any]:
    """Return the registers that differ between two states, as `#/$defs/diff` of the schema."""
    differing = {
        name: [register.raw.hex() if register else None for register in pair]
        for name, *pair in _differing(one, other, components)
    }
    return {"tasks": [_task_json(one), _task_json(other)], "registers": differing}


def _differing(
    one: TaskState, other: TaskState, components: Sequence[str]
) -> Iterator[tuple[str, Register | None, Register | None]]:
    """Yield the name and both values of each register that differs; None: not in that state."""
    left, right = _chosen(one, components), _chosen(other, components)
    for name in {**left, **right}:
        a, b = left.get(name), right.get(name)
        if a is None or b is None or a.raw != b.raw:
            yield name, a, b


def _chosen(state: TaskState, components: Sequence[str]) -> dict[str, Register]:
    numbers = {state.image.component(name).number for name in components}
    registers = state.image.registers
    return {r.name: r for r in registers if not numbers or r.component in numbers}


def _value(register: Register | None) -> str:
    return "\n".join(value_lines(register)) if register else "-"


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
