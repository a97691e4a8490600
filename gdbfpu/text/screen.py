# SPDX-License-Identifier: GPL-2.0-or-later
"""What a text is made for: a terminal of some width, with colour or not, or something else."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

__all__ = ("PLAIN", "Screen")

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Screen:
    """`width` is in columns, 0 if lines may have any length; `colour` is true to use colour."""

    width: int = 0
    colour: bool = False

    def wrapped(self, text: str, indent: str = "") -> str:
        """Return `text` after breaking lines that are too wide; `indent` begins each added line."""
        if not self.width:
            return text
        lines = (self._lines(line, indent) for line in text.splitlines())
        return "\n".join(line for broken in lines for line in broken)

    def _lines(self, line: str, indent: str) -> list[str]:
        if len(_ESCAPES.sub("", line)) <= self.width:
            return [line]
        lead = line[: len(line) - len(line.lstrip())]
        return textwrap.wrap(
            line.strip(), self.width, initial_indent=lead, subsequent_indent=lead + indent,
            break_on_hyphens=False,
        )  # fmt: skip


PLAIN = Screen()
"""A file, a pipe, a string: nothing is cut, nothing coloured."""
