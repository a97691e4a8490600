# SPDX-License-Identifier: GPL-2.0-or-later
"""The bench runs to its end and tells what it measured. No time is tested here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import types
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import events, measure, text
from tests.bench.machine import machine
from tests.bench.rows import Row

SVG = "{http://www.w3.org/2000/svg}"
HITS = {
    "what": "hits over KGDB",
    "ours": 60,
    "unit": "hits/s",
    "rivals": {"plain `break`": 40.0, "nothing at all": 75.5},
    "reach": "at least 0.7 x",
    "command": "make demo",
    "runs": 5,
}
FIRST = {**HITS, "what": "time to the first hit", "unit": "s", "ours": 2.5, "reach": "at most 3 s",
         "rivals": {"GDB alone": 17.9, "drgn": 2.0}}  # fmt: skip
BYTES = {**HITS, "what": "bytes a hit", "unit": "bytes", "ours": None, "rivals": {}, "reach": ""}


def stubs(monkeypatch, **parts):
    """Have these be the parts, and what their `rows` return; each is to be asked once."""
    asked = []
    for name, rows in parts.items():
        module = types.ModuleType(f"tests.bench.{name}")
        module.__spec__ = types.SimpleNamespace()
        module.rows = lambda quick=False, name=name, rows=rows: asked.append((name, quick)) or rows
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(bench, "PARTS", tuple(parts))
    return asked


# --- all of it, quickly


def test_it_runs_to_its_end(tmp_path, monkeypatch, capsys):
    """The event file for real, the other parts as stubs: they need a kernel."""
    real = {"events": events.rows(quick=True)}
    asked = stubs(monkeypatch, wire=[HITS, FIRST], layouts=[BYTES], **real)
    out = tmp_path / "build" / "bench.json"
    assert bench.main(["--quick", "--out", str(out)]) == 0
    assert asked == [("wire", True), ("layouts", True), ("events", True)]
    data = json.loads(out.read_text())
    assert set(data) == {"schema", "measured", "quick", "machine", "rows"}
    assert (data["schema"], data["quick"]) == (1, True)
    assert {"CPU", "Linux", "GDB", "QEMU", "Python", "gdbfpu"} <= set(data["machine"])
    assert [row["unit"] for row in data["rows"]] == ["hits/s", "s", "bytes", "s", "MB", "s", "MB"]
    for row in data["rows"]:
        assert set(row) == {
            "what", "ours", "unit", "rivals", "reach", "command", "runs", "ratio", "met", "note"
        }  # fmt: skip
    for row in data["rows"][3:]:
        assert row["ours"] > 0
        assert "json.loads in a loop" in row["rivals"]
        assert row["runs"] == 1
    printed = capsys.readouterr().out
    for words in (
        "hits over KGDB",
        "60 hits/s",
        "75.5 hits/s (nothing at all)",
        "make demo",
        "GDB:",
    ):
        assert words in printed


def test_pictures_say_what_they_show(tmp_path, monkeypatch):
    stubs(monkeypatch, wire=[HITS, FIRST, BYTES])
    assert bench.main(["--out", str(tmp_path / "b.json")]) == 0
    words = {}
    for picture in ("hits", "first-hit"):
        tree = ET.parse(tmp_path / f"b-{picture}.svg")
        assert tree.getroot().tag == f"{SVG}svg"
        words[picture] = {"".join(e.itertext()).strip() for e in tree.iter(f"{SVG}text")}
    assert words["hits"] >= {
        "Hits per second by way of tracing (more is better)", "hits per second (hits/s)",
        "hits over KGDB", "gdbfpu", "plain break", "nothing at all",
        "60 hits/s", "40 hits/s", "75.5 hits/s",
    }  # fmt: skip
    assert words["first-hit"] >= {
        "Time to the first hit by tool (less is better)", "time to the first hit (s)",
        "time to the first hit", "gdbfpu", "GDB alone", "drgn", "2.5 s", "17.9 s", "2 s",
    }  # fmt: skip


def test_no_picture_of_nothing(tmp_path, monkeypatch):
    stubs(monkeypatch, wire=[BYTES])
    old = tmp_path / "b-hits.svg"
    old.write_text("of another run")
    assert bench.main(["--out", str(tmp_path / "b.json")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_what_was_measured_before_a_part_failed_is_kept(tmp_path, monkeypatch, capsys):
    stubs(monkeypatch, wire=[HITS], layouts=[{"what": "no row"}])
    out = tmp_path / "b.json"
    assert bench.main(["--out", str(out)]) == 1
    assert [row["what"] for row in json.loads(out.read_text())["rows"]] == ["hits over KGDB"]
    assert "bench: not a row: lacks ['command', 'ours'" in capsys.readouterr().err


def test_a_part_that_is_missing_is_told_before_anything_runs(tmp_path, monkeypatch, capsys):
    asked = stubs(monkeypatch, wire=[HITS])
    monkeypatch.setattr(bench, "PARTS", ("wire", "nothing"))
    assert bench.main(["--out", str(tmp_path / "b.json")]) == 1
    assert capsys.readouterr().err == "bench: there is no tests/bench/nothing.py\n"
    assert (asked, list(tmp_path.iterdir())) == ([], [])


def test_an_unknown_part(capsys):
    with pytest.raises(SystemExit):
        bench.main(["event"])
    assert "no part is called 'event'; there are layouts, wire, fast, events, audit" in (
        capsys.readouterr().err
    )


def test_one_part_alone(tmp_path, monkeypatch):
    asked = stubs(monkeypatch, wire=[HITS], layouts=[BYTES])
    assert bench.main(["layouts", "--out", str(tmp_path / "b.json")]) == 0
    assert asked == [("layouts", False)]


# --- rows


@pytest.mark.parametrize(
    ("change", "best", "times", "met"),
    [
        ({}, "nothing at all", 60 / 75.5, True),
        ({"reach": "at least 0.8 x"}, "nothing at all", 60 / 75.5, False),
        ({"reach": 0.7}, "nothing at all", 60 / 75.5, True),
        ({"reach": 1}, "nothing at all", 60 / 75.5, False),
        ({"reach": ">= 61 hits/s"}, "nothing at all", 60 / 75.5, False),
        ({"unit": "s", "reach": "at most 1,000.5 s"}, "plain `break`", 40 / 60, True),
        ({"unit": "s", "reach": "<= 59.9 s"}, "plain `break`", 40 / 60, False),
        ({"unit": "s", "reach": "at least 1 x"}, "plain `break`", 40 / 60, False),
        ({"ratio": 3.0, "reach": "at least 2 x"}, "nothing at all", 3.0, True),
        ({"reach": "as many as were sent"}, "nothing at all", 60 / 75.5, None),
        ({"reach": "as many as were sent", "met": True}, "nothing at all", 60 / 75.5, True),
        ({"reach": "", "rivals": {}}, None, None, None),
        ({"reach": "at least 2 x", "rivals": {}}, None, None, None),
        ({"ours": None, "reach": "at most 1 s"}, "nothing at all", None, None),
        ({"unit": "s", "ours": 0}, "plain `break`", None, None),
    ],
)
def test_what_follows_from_a_row(change, best, times, met):
    row = Row.from_dict({**HITS, **change})
    assert (row.best, row.times, row.reached) == (best, times, met)
    again = Row.from_dict(json.loads(json.dumps(row.to_dict())))
    assert (again.best, again.times, again.reached) == (best, times, met)


@pytest.mark.parametrize(
    "change",
    [{"ours": "60"}, {"ours": True}, {"rivals": {"a": "1"}}, {"runs": 5.0}, {"more": 1}],
)
def test_what_is_no_row(change):
    with pytest.raises(ValueError, match="not a row"):
        Row.from_dict({**HITS, **change})


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0, "0 s"), (0.01234, "0.0123 s"), (7.5149, "7.51 s"), (12.34, "12.3 s"),
     (99.96, "100 s"), (123.4, "123 s"), (1_000_000, "1,000,000 s")],
)  # fmt: skip
def test_figures(value, shown):
    assert text.figure(value, "s") == shown


# --- measuring


def test_time_and_memory_of_a_program():
    """What a program holds for half a second is seen; what the bench itself holds is not."""
    code = "import time; data = b'x' * {}; time.sleep(0.5); print(len(data))"
    ballast = b"x" * 300_000_000
    big, small = (measure.run([sys.executable, "-c", code.format(n)], 30) for n in (10**8, 1))
    del ballast
    assert (big.output, small.output) == ("100000000\n", "1\n")
    assert 100 < big.megabytes < 150
    assert 0 < small.megabytes < 50
    assert 0.5 <= small.seconds < 20


def test_program_that_fails_or_hangs():
    with pytest.raises(measure.subprocess.CalledProcessError):
        measure.run(["false"], 30)
    started = time.monotonic()
    with pytest.raises(measure.subprocess.TimeoutExpired):
        measure.run(["sleep", "60"], 0.2)
    assert time.monotonic() - started < 30
    assert measure.median([5, 1, 9]) == 5


def test_machine_is_told():
    facts = machine()
    assert facts["GDB"][0].isdigit()
    assert facts["CPU"].endswith(" cores")
    assert facts["Python"] == sys.version.split()[0]


# --- the page that quotes it


PAGE = f"# Title\n\nBefore.\n\n{text.BEGIN}\nold\n{text.END}\n\nAfter.\n"


@pytest.fixture
def page(tmp_path):
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text(PAGE)
    return page


def test_page_quotes_the_figures(tmp_path, monkeypatch, page):
    stubs(monkeypatch, wire=[HITS, FIRST])
    out = tmp_path / "b.json"
    assert bench.main(["--out", str(out)]) == 0
    for _ in range(2):
        assert bench.main(["--quote", str(out), "--page", str(page)]) == 0
    quoted = page.read_text()
    assert quoted.startswith(f"# Title\n\nBefore.\n\n{text.BEGIN}\n")
    assert quoted.endswith(f"\n{text.END}\n\nAfter.\n")
    assert "old" not in quoted
    (line,) = (line for line in quoted.split("\n") if line.startswith("| hits over KGDB "))
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[2:-1] == [
        "60 hits/s", "75.5 hits/s (nothing at all)", "0.795 x", "at least 0.7 x", "yes", "5",
    ]  # fmt: skip
    assert (
        "- `make demo`\n"
        "  - hits over KGDB: gdbfpu 60 hits/s, plain `break` 40 hits/s, "
        "nothing at all 75.5 hits/s\n"
        "  - time to the first hit: gdbfpu 2.5 s, GDB alone 17.9 s, drgn 2 s\n"
    ) in quoted
    assert "![Hits per second by way of tracing (more is better)](bench-hits.svg)" in quoted
    for name in ("hits", "first-hit"):
        drawn = (tmp_path / f"b-{name}.svg").read_bytes()
        assert (page.parent / f"bench-{name}.svg").read_bytes() == drawn


def test_page_without_figures_to_draw_has_no_picture(tmp_path, monkeypatch, page):
    stubs(monkeypatch, wire=[BYTES])
    out = tmp_path / "b.json"
    (page.parent / "bench-hits.svg").write_text("old")
    assert bench.main(["--out", str(out)]) == 0
    assert bench.main(["--quote", str(out), "--page", str(page)]) == 0
    assert "![" not in page.read_text()
    assert [path.name for path in page.parent.iterdir()] == ["page.md"]


def test_what_is_not_quoted(tmp_path, monkeypatch, page, capsys):
    stubs(monkeypatch, wire=[HITS])
    out = tmp_path / "b.json"
    bench.main(["--quick", "--out", str(out)])
    assert bench.main(["--quote", str(out), "--page", str(page)]) == 1
    assert "is of a --quick run" in capsys.readouterr().err
    assert page.read_text() == PAGE
    bench.main(["--out", str(out)])
    page.write_text("no markers")
    assert bench.main(["--quote", str(out), "--page", str(page)]) == 1
    assert "the page lacks <!-- bench:begin -->" in capsys.readouterr().err
    for data in ("{}", "[]", "no JSON"):
        out.write_text(data)
        assert bench.main(["--quote", str(out), "--page", str(page)]) == 1


def test_the_memory_of_a_trace_is_measured():
    """The script that GDB runs for it; it makes the objects of a trace itself."""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, root / "tests/bench/memory.py"],
        env={**os.environ, "HITS": "200", "PYTHONPATH": f"{root}:{root / 'tests/unit'}"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert re.fullmatch(r"RSS start=\d+ early=\d+ end=\d+\n", done.stdout)
