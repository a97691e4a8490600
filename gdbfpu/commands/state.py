# SPDX-License-Identifier: GPL-2.0-or-later
"""Answer `fpu-state` and `gdbfpu state`: from model and options to text."""

from __future__ import annotations

from gdbfpu.commands.state_options import StateOptions
from gdbfpu.fpu.model import FpuModel
from gdbfpu.fpu.state import find_task, read_frame, read_state
from gdbfpu.fpu.state_text import diff_json, diff_table, state_json, state_raw, state_table
from gdbfpu.text.json_text import json_text
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.xsave.text import render_table, to_json

__all__ = ("frame_text", "state_text")


def state_text(model: FpuModel, options: StateOptions, screen: Screen = PLAIN) -> str:
    """Return what `fpu-state` prints for a task; raise UsageError if the task has no state."""
    state = read_state(model, find_task(model, options.task, options.comm))
    names, as_json = options.components, options.format == "json"
    if options.diff:
        other = read_state(model, find_task(model, options.diff))
        if as_json:
            return json_text(diff_json(state, other, names), screen)
        return diff_table(state, other, names, screen)
    if as_json:
        return json_text(state_json(state, names), screen)
    return state_raw(state, names, screen) if options.raw else state_table(state, names, screen)


def frame_text(model: FpuModel, address: int, options: StateOptions, screen: Screen = PLAIN) -> str:
    """Return what `fpu-state --sigframe` prints for the frame at user `address`."""
    image = read_frame(model, address)
    if options.format == "json":
        return json_text(to_json(image, options.components), screen)
    return render_table(image, options.components, screen=screen)
