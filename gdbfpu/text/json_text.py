# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects as JSON, highlighted on a terminal."""

from __future__ import annotations

import json
from typing import Any

from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.text.table import coloured

__all__ = ("json_text",)


def json_text(value: Any, screen: Screen = PLAIN, indent: int | None = None) -> str:
    """Return `value` as JSON, in colour if `screen` has any; see `json.dumps` for `indent`.

    Raises UsageError if pygments is needed and not installed.
    """
    text = json.dumps(value, indent=indent)
    if not screen.colour:
        return text
    with coloured():
        from pygments import highlight
        from pygments.formatters import TerminalFormatter
        from pygments.lexers import JsonLexer
    return str(highlight(text, JsonLexer(), TerminalFormatter())).rstrip("\n")
