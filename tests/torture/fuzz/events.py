# SPDX-License-Identifier: GPL-2.0-or-later
"""Event files: every command that reads them. The first byte of an input says which."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any, Callable

from tests.torture.fuzz.command import check_csv, check_json, check_text, said
from tests.torture.fuzz.hurting import NUMBERS, some_bytes
from tests.torture.fuzz.target import ROOT, Target
from tests.unit.event_files import HEADER, HIT, OTHER

__all__ = ("TARGET",)

_CPU = ROOT / "tests/data/cpu"
_FILE = Path(tempfile.gettempdir()) / f"events-{os.getpid()}"
_SCRIPTS = 2  # that a page may have of its own

_VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 1.5, 1e308, float("nan"), float("-inf"), 10**400, [], {}, "", "0x"),
    *("\x1b[31m", "\ud800", "a\nb", "\0", "\u202eabc", "</script><script>", '"', "'", "=1+1", "\\"),
    *("x" * 5000, "0x" + "f" * 16, "0x" + "f" * 17, "ff" * 600, [["x"] * 70], {"x": {"x": 1}}),
    *NUMBERS,
)
_WORDS = ("HEAD", "%s", "`", "|", "<b>", "é", "\N{FULL BLOCK}", ";", ",", "\t", "//", "ymm0", "x87")


def _lines() -> list[dict[str, Any]]:
    """Return an event file that has all there is."""
    raw = (_CPU / "qemu-tcg/full-xsave.bin").read_bytes().hex()
    full = {**HIT, "raw": raw, "registers": {"ymm0": "11" * 32, "st0": "22" * 10, "fcw": "7f02"}}
    found = {"rule": "STALE", "severity": "error", "why": "old values", "address": "0xffff"}
    audit = {"of": 1, "pid": 30, "findings": [found], "undecided": ["FRAME: no frame"]}
    learned = {"use_of": 2, "task": HIT["task"], "pid": 30, "uses_fpu": True, "why": "a frame"}
    return [
        {**HEADER, "xsave_format": "standard"},
        *({**HIT, "raw": raw}, {**audit, "cleaned": {"AVX": 256}}, learned),
        *({**full, "seq": 2}, {**HIT, "raw": raw, "seq": 3, "time_ns": 2000, "live": False}),
        {**OTHER, "seq": 4, "backtrace": ["get_sigframe", "handle_signal"], "caller_pid": 30},
    ]


def _encoded(lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _seeds(_: Path) -> Iterator[bytes]:
    lines = _lines()
    for how in range(len(_COMMANDS)):
        yield bytes((how,)) + _encoded(lines)
        yield bytes((how,)) + _encoded(lines[:3])
    fast = {**HEADER, "recorded": "kernel", "switching": "eager", "xsave_format": "compacted"}
    yield b"\0" + _encoded([fast, *lines[1:]])


def _read(data: bytes) -> None:
    words, check = _COMMANDS[(data[0] if data else 0) % len(_COMMANDS)]
    _FILE.write_bytes(data[1:])
    file = str(_FILE)
    text = said([file if word == "FILE" else word for word in words.split()])
    if text:
        check(text)


class _Scripts(HTMLParser):
    count = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.count += tag == "script"


def _check_page(text: str) -> None:
    """Check that nothing in the file became a script."""
    parser = _Scripts()
    parser.feed(text)
    assert parser.count <= _SCRIPTS, f"a page with {parser.count} scripts"
    assert "\x1b" not in text


def _check_folded(text: str) -> None:
    check_text(text)
    assert all(line.rpartition(" ")[2].isdigit() for line in text.splitlines())


_COMMANDS: tuple[tuple[str, Callable[[str], None]], ...] = (
    ("report FILE", check_text),
    ("report FILE --by path", check_text),
    ("report FILE --format json", check_json),
    ("report FILE --format csv", check_csv),
    ("report FILE FILE --why", check_text),
    ("show FILE --hit 2", check_text),
    ("show FILE --hit 3 --format json", check_json),
    ("diff FILE 2 3", check_text),
    ("diff FILE --task 30", check_text),
    ("compare FILE FILE", check_text),
    ("compare FILE FILE --format json", check_json),
    ("export FILE --to csv", check_csv),
    ("export FILE --to perfetto", check_json),
    ("export FILE --to folded", _check_folded),
    ("export FILE --to markdown", check_text),
    ("export FILE --to csv --comm Xorg --since 0.1 --component AVX", check_csv),
    ("export FILE --to html", _check_page),
)


def _hurt(data: bytearray, random: Random) -> bytes:
    how = bytes((random.randrange(len(_COMMANDS) - 1),))
    if not random.randrange(60):  # a page takes long to make
        how = bytes((len(_COMMANDS) - 1,))
    lines = bytes(data[1:]).split(b"\n")
    for _ in range(random.choice((1, 1, 2, 4))):
        place, kind = random.randrange(len(lines)), random.random()
        if kind < 0.7:
            lines[place] = _hurt_line(lines[place], random)
        elif kind < 0.8:
            lines.insert(place, lines[random.randrange(len(lines))])
        elif kind < 0.85:
            lines[place] = lines[place][: random.randrange(len(lines[place]) + 1)]
        elif kind < 0.9:
            lines[place] = b"[" * random.choice((1, 100, 100_000)) + lines[place]
        else:
            line = bytearray(lines[place])
            some_bytes(line, 0, len(line), random)
            lines[place] = bytes(line)
    return how + b"\n".join(lines)


def _hurt_line(line: bytes, random: Random) -> bytes:
    """Change a value of the object in `line`, or of an object or list in it."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return line
    inner = value
    while isinstance(inner, (dict, list)) and inner:
        key = (
            random.choice(list(inner)) if isinstance(inner, dict) else random.randrange(len(inner))
        )
        if isinstance(inner[key], (dict, list)) and inner[key] and random.random() < 0.7:
            inner = inner[key]
            continue
        _change(inner, key, random)
        break
    return json.dumps(value).encode()


def _change(inner: Any, key: Any, random: Random) -> None:
    kind, old = random.random(), inner[key]
    if kind < 0.1:
        del inner[key]
    elif kind < 0.25 and isinstance(old, str):
        at = random.randrange(len(old) + 1)
        inner[key] = old[:at] + random.choice(_WORDS) + old[at:]
    elif kind < 0.35 and isinstance(old, str):
        inner[key] = old[: random.randrange(len(old) + 1)]
    elif kind < 0.45 and isinstance(inner, list):
        inner.extend([old] * random.choice((1, 70, 200)))
    else:
        inner[key] = random.choice(_VALUES)


TARGET = Target("event files", 20_000, _seeds, _read, _hurt, 128 << 10)
