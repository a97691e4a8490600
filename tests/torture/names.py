# SPDX-License-Identifier: GPL-2.0-or-later
"""Event files whose names are commands to terminals, spreadsheets and browsers, in every form."""

from __future__ import annotations

import contextlib
import io
import random
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from event_files import HEADER, HIT, OTHER, written

from gdbfpu import cli
from tests.torture.damage import evil_name
from tests.torture.plain_text import elements, faults_of_text

__all__ = ("written_in_each_form",)

_FORMS = {
    "text": ("report",),
    "text, by path": ("report", "--by", "path"),
    "json": ("report", "--format", "json"),
    "csv": ("report", "--format", "csv"),
    "csv, hits": ("export", "--to", "csv"),
    "html": ("export", "--to", "html"),
    "markdown": ("export", "--to", "markdown"),
    "folded": ("export", "--to", "folded"),
    "perfetto": ("export", "--to", "perfetto"),
}


def written_in_each_form(chance: random.Random, folder: Path) -> Iterator[str]:
    """Yield what is wrong with the forms of one event file with evil names, a line each."""
    plain = (f"name {number}" for number in count())
    tame = _forms(written(folder / "tame", *_hits(lambda: next(plain))))
    evil = _forms(written(folder / "evil", *_hits(lambda: _evil(chance)), header=_header(chance)))
    for form, text in evil.items():
        yield from faults_of_text(form.split(",")[0], text)
    known, found = elements(tame["html"]), elements(evil["html"])
    if foreign := found.keys() - known.keys():
        yield f"html: elements that are no part of a page: {sorted(foreign)}"
    if found["script"] != known["script"]:
        yield f"html: {found['script']} scripts"


def _evil(chance: random.Random) -> str:
    return evil_name(chance).decode("latin-1")


def _header(chance: random.Random) -> dict[str, Any]:
    return {**HEADER, "kernel": _evil(chance) * 3, "gdbfpu": _evil(chance), "build_id": "</title>"}


def _hits(name: Any) -> list[dict[str, Any]]:
    one = {**HIT, "comm": name(), "caller_comm": name(), "why": name(), "backtrace": [name()]}
    two = {**OTHER, "seq": 2, "comm": name(), "function": name(), "why": name()}
    return [one, two]


def _forms(path: Path) -> dict[str, str]:
    return {form: _said(*words, str(path)) for form, words in _FORMS.items()}


def _said(*words: str) -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        cli.main(words)
        out.flush()
    return out.buffer.getvalue().decode()
