# SPDX-License-Identifier: GPL-2.0-or-later
"""Answer `fpu-info` and `gdbfpu info`: from model and options to text."""

from __future__ import annotations

from gdbfpu.commands.info_options import InfoOptions
from gdbfpu.fpu.facts import facts
from gdbfpu.fpu.model import FpuModel
from gdbfpu.text.fit import Fit
from gdbfpu.text.json_text import json_text
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.text.table import table

__all__ = ("info_text",)


def info_text(model: FpuModel, build_id: str, options: InfoOptions, screen: Screen = PLAIN) -> str:
    """Return what `fpu-info` prints on `screen`; `build_id` is hex."""
    found = facts(model, build_id)
    if options.format == "json":
        return json_text({f.item: {"value": f.value, "from": f.source} for f in found}, screen)
    rows = [(fact.item, fact.value, fact.source) for fact in found]
    headers = ("item", "value", "read from")
    return table(rows, headers, (), screen, Fit(wrap=("value", "read from")))
