# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a command of `gdbfpu` in this process, and check what it prints."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

from gdbfpu.cli import main

__all__ = ("check_csv", "check_json", "check_text", "said")


def said(words: Sequence[str], statuses: Sequence[int] = (0, 1)) -> str:
    """Return what `gdbfpu` with `words` prints; check its status, and that each line is text."""
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        status = main(words)
    assert status in statuses, f"status {status}"
    check_text(errors.getvalue())
    out.getvalue().encode(errors="backslashreplace")  # as standard output does
    told = errors.getvalue().splitlines()
    assert all(line.startswith("gdbfpu: ") for line in told)
    assert told or status != 1 or out.getvalue(), "it says nothing"
    return out.getvalue()


def check_text(text: str) -> None:
    """Check that a terminal shows `text` as it is, lone surrogates aside: they are escaped."""
    for line in text.split("\n"):
        shown = line.encode("utf-8", "backslashreplace").decode()
        assert shown.isprintable(), f"a terminal would obey {shown!r}"


def check_json(text: str) -> None:
    """Check that `text` is JSON, as all readers read it."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} in JSON")

    json.loads(text, parse_constant=refuse)


def check_csv(text: str) -> None:
    """Check that all rows of `text` are as long as the first."""
    rows = list(csv.reader(io.StringIO(text), strict=True))
    assert {len(row) for row in rows} <= {len(rows[0])} if rows else True
