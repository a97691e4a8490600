# SPDX-License-Identifier: GPL-2.0-or-later
"""Hits and reports as text, read back by csv and by column."""

from __future__ import annotations

import csv
import io
import re
import sys
import time
import unicodedata
from collections import Counter

import pytest

from gdbfpu.errors import UsageError
from gdbfpu.fpu.evidence import Answer, Use
from gdbfpu.report.headline import headline
from gdbfpu.report.report import Report
from gdbfpu.report.text import report_csv, report_table
from gdbfpu.text.screen import PLAIN, Screen
from gdbfpu.text.table import paint, table
from gdbfpu.trace.event_file import Hit
from gdbfpu.trace.hit_text import hit_heading, hit_lines
from gdbfpu.trace.task_totals import TaskTotals

SIGFRAME, SANITIZE = "copy_fpstate_to_sigframe", "fpstate_sanitize_xstate"
SECOND = 1_000_000_000
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def hit(**fields):
    values = {
        "seq": 12,
        "time_ns": 5,
        "function": SIGFRAME,
        "thread": 7,
        "pid": 31,
        "tgid": 31,
        "comm": "x87calc",
        "cpu": 1,
        "task": "0x1",
        "fpu": "0x2",
        "xfeatures": "0x7",
        "xcomp_bv": "0x0",
        "components": ("x87", "SSE", "AVX"),
        "live": False,
        "backtrace": ("get_sigframe", "handle_signal"),
        "caller_pid": 31,
        "caller_comm": "x87calc",
        **fields,
    }
    return Hit(**values)


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# --- one line a hit


def test_heading_names_the_columns():
    assert hit_heading(0).split() == [
        *("hit", "thread", "task", "pid", "CPU", "function", "components", "where", "caller")
    ]
    heading = hit_heading(0)
    line = hit_lines(hit(), 0)[0]
    for name, value in (("task", "x87calc"), ("function", SIGFRAME), ("components", "x87|SSE|AVX"),
                        ("where", "memory"), ("caller", "get_sigframe")):  # fmt: skip
        assert line.index(value) == heading.index(name)
    for name, value in (("hit", "12"), ("thread", "7"), ("pid", "31"), ("CPU", "1")):
        assert line[: heading.index(name) + len(name)].endswith(value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "12 7 x87calc 31 1 F x87|SSE|AVX memory get_sigframe < handle_signal"),
        ({"live": True}, "12 7 x87calc 31 1 F x87|SSE|AVX live get_sigframe < handle_signal"),
        ({"thread": None}, "12 - x87calc 31 1 F x87|SSE|AVX memory get_sigframe < handle_signal"),
        ({"backtrace": ()}, "12 7 x87calc 31 1 F x87|SSE|AVX memory"),
        ({"components": (), "backtrace": ("a",)}, "12 7 x87calc 31 1 F - memory a"),
        ({"components": (), "xfeatures": None, "backtrace": ()}, "12 7 x87calc 31 1 F ? memory"),
        (
            {"caller_pid": 30, "caller_comm": "gdb", "backtrace": ("a",)},
            "12 7 x87calc 31 1 F x87|SSE|AVX memory a (by gdb, pid 30)",
        ),
    ],
)
def test_line_of_a_hit(fields, words):
    line = hit_lines(hit(**fields), 0)[0]
    assert line.split() == words.replace(" F ", f" {SIGFRAME} ").split()
    assert line == line.rstrip()
    assert "\n" not in line


# --- tables


def rows():
    return (
        TaskTotals(
            *(30, 30, "Xorg", 1, 2, 1, Counter({SIGFRAME: 54, SANITIZE: 6}), 7, 50, 10),
            *(3600 * SECOND + 5_000_000, 7325 * SECOND + 999_999_999),
            Use(Answer.YES, "AVX values in the frame of hit 3"),
        ),
        TaskTotals(40, 39, r"evil\x1b[31m", 2, None, 0, Counter({SIGFRAME: 1}), 0, 0, 1, 1, 1),
        TaskTotals(7, 7, "001", 3, 9, use=Use(Answer.NO, "initial in 3 frames")),
    )


def report(rows=rows(), **fields):  # noqa: B008
    values = {
        "kernel": "Linux",
        "switching": "lazy",
        "rows": rows,
        "tasks": 20,
        "kthreads": 11,
        "using": 1,
        "hits": 61,
        "defects": (),
        "paths": (((SIGFRAME, "a", "b"), 55), ((SANITIZE,), 6)),
    }
    return Report(**{**values, **fields})


def cells(text):
    """A table's rows as lists of cells, split where its rule has gaps."""
    lines = text.split("\n")
    rule = next(i for i, line in enumerate(lines) if line and set(line) <= {"-", " "})
    spans = [found.span() for found in re.finditer("-+", lines[rule])]
    lines.append("")
    body = lines[rule - 1 : rule] + lines[rule + 1 : lines.index("", rule)]
    return [[line[start:end].strip() for start, end in spans] for line in body]


EXPECTED = [
    [
        *("thread", "pid", "tgid", "task", "FPU", SIGFRAME, SANITIZE, "CPU", "components"),
        *("live", "memory", "first", "last"),
    ],
    [
        *("2", "30", "30", "Xorg", "yes", "54", "6", "1", "x87|SSE|AVX"),
        *("50", "10", "01:00:00.005", "02:02:05.999"),
    ],
    [
        *("-", "40", "39", r"evil\x1b[31m", "?", "1", "-", "0", "-"),
        *("0", "1", "00:00:00.000", "00:00:00.000"),
    ],
    ["9", "7", "7", "001", "no", "-", "-", "-", "-", "-", "-", "-", "-"],
]


def test_table_of_tasks():
    text = report_table(report(), "task", "", PLAIN)
    assert cells(text) == EXPECTED
    assert text.split("\n")[:2] == [
        "Xorg took 60 of 61 hits, with AVX in use; 1 of 20 tasks uses the FPU (11 are kernel "
        "threads, without FPU state); 61 hits; lazy switching",
        "",
    ]
    assert "\x1b" not in text


def test_numbers_end_and_names_begin_below_each_other():
    lines = report_table(report(), "task", "", PLAIN).split("\n")[2:]
    heading, xorg, evil = lines[0], lines[2], lines[3]
    for name in ("task", "FPU", "components", "first"):
        at = heading.index(name)
        assert xorg[at - 1] == evil[at - 1] == " "
        assert " " not in (xorg[at], evil[at])
    for name in ("thread", "pid", SIGFRAME, SANITIZE, "CPU", "live", "memory"):
        end = heading.index(name) + len(name)
        assert xorg[end] == evil[end] == " "
        assert " " not in (xorg[end - 1], evil[end - 1])
    heading, _, *hits = report_table(report(), "probe", "", PLAIN).split("\n")[2:6]
    at = heading.index("function")
    assert [line[at - 1 :] for line in hits] == [f" {SIGFRAME}", f" {SANITIZE}"]
    end = heading.index("hits") + 4
    assert [line[:end].strip() for line in hits] == ["55", "6"]
    assert [line[end - 1] for line in hits] == ["5", "6"]


def test_table_of_tasks_in_an_order():
    text = report_table(report(), "task", "pid", PLAIN)
    assert [row[1] for row in cells(text)[1:]] == ["7", "30", "40"]


def test_colour_changes_nothing_else():
    plain = report_table(report(defects=("one",)), "task", "", PLAIN)
    coloured = report_table(report(defects=("one",)), "task", "", Screen(colour=True))
    assert "\x1b[" in coloured
    assert ESCAPE.sub("", coloured) == plain
    assert [line for line in coloured.split("\n") if "Xorg" in line and "\x1b" in line]


def marked(text):
    """The colours of a text, by the words that have them."""
    return {words: escape for escape, words in re.findall(r"\x1b\[([0-9;]*m)([^\x1b]+)\x1b", text)}


@pytest.mark.parametrize("source", ["", "hits.jsonl"])
def test_what_is_coloured(source):
    """How many tasks there are, who uses the FPU, and what is wrong: each in its own way."""
    found = rows()
    found[2].findings.update({"STALE": 2, "FORK": 1})
    shown = report(found, defects=("one",), audits=1, source=source)
    colours = marked(report_table(shown, "task", "", Screen(colour=True)))
    first = "20 tasks in hits.jsonl" if source else "1 of 20 tasks uses the FPU"
    assert colours["FORK 1, STALE 2"] == colours["incomplete: one"]
    assert len({colours[words] for words in (first, "yes", "incomplete: one")}) == 3
    assert not {"no", "?"} & colours.keys()


def test_what_a_narrow_table_leaves_out():
    """First the milliseconds and long names, then what one misses least."""
    long = rows()
    long[1].comm = "a-name-of-more-than-sixteen"
    left, clocks = [], set()
    for width in range(200, 60, -1):
        text = report_table(report(long), "task", "", Screen(width=width))
        headings = "".join(text.split("\n---")[0].split("\n\n")[1])
        left += [name for name in ("first", "tgid", "last") if name not in headings + str(left)]
        clocks.update(re.findall(r"\d\d:\d\d:\S+", text))
    assert left == ["first", "tgid", "last"]
    assert {"01:00:00.005", "01:00:00"} <= clocks
    assert {len(clock) for clock in clocks} == {8, 12}
    assert "a-name-of-more-~" in text


def test_table_without_hits():
    text = report_table(report(rows()[2:], hits=0, paths=()), "task", "", PLAIN)
    assert cells(text) == [
        [
            *("thread", "pid", "tgid", "task", "FPU", "hits", "CPU", "components"),
            *("live", "memory", "first", "last"),
        ],
        ["9", "7", "7", "001", "no", "-", "-", "-", "-", "-", "-", "-"],
    ]


@pytest.mark.parametrize("by", ["task", "probe", "path"])
def test_table_of_nothing(by):
    text = report_table(report((), hits=0, paths=()), by, "", PLAIN)
    assert len(cells(text)) == 1


def test_table_of_probes():
    assert cells(report_table(report(), "probe", "", PLAIN)) == [
        ["hits", "tasks", "function"],
        ["55", "2", SIGFRAME],
        ["6", "1", SANITIZE],
    ]


def test_functions_with_the_most_hits_come_first():
    more = TaskTotals(8, 8, "more", 4, hits=Counter({SANITIZE: 70}), memory_hits=70)
    lines = cells(report_table(report((*rows(), more)), "probe", "", PLAIN))
    assert lines[1:] == [["76", "2", SANITIZE], ["55", "2", SIGFRAME]]


def test_csv_counts_findings_not_rules():
    found = rows()
    found[0].findings.update({"STALE": 2, "FORK": 3})
    first, *_ = csv.DictReader(io.StringIO(report_csv(report(found), "task", "")))
    assert (first["comm"], first["findings"]) == ("Xorg", "5")


def test_table_of_paths():
    assert cells(report_table(report(), "path", "", PLAIN)) == [
        ["hits", "path"],
        ["55", f"{SIGFRAME} < a < b"],
        ["6", SANITIZE],
    ]


def test_defects_are_told():
    lines = report_table(report(defects=("one", "two")), "task", "", PLAIN).split("\n")
    assert lines[-2:] == ["incomplete: one", "incomplete: two"]


def test_values_stay_as_they_are():
    text = table([["1e5", "0x10", "007", "1_0", "nan"]], list("abcde"))
    assert text.split("\n")[-1].split() == ["1e5", "0x10", "007", "1_0", "nan"]


@pytest.mark.parametrize("name", ["日本語", "한국어 a", "Zoe\u0308", "🦊 fox"])
def test_names_of_other_widths_are_aligned(name):
    """In columns of a terminal, as Unicode gives them: East Asian Wide counts two, marks none."""
    wide = TaskTotals(8, 8, name, 1, 2, 1, Counter({SIGFRAME: 1}), 7, 1, 0, 1, 1, Use(Answer.YES))
    plain = TaskTotals(
        9, 9, "plain", 2, 3, 1, Counter({SIGFRAME: 1}), 7, 1, 0, 1, 1, Use(Answer.YES)
    )
    lines = report_table(report((wide, plain)), "task", "", PLAIN).split("\n")[4:6]
    lines += [hit_lines(hit(comm=who), 0)[0] for who in (name, "plain")]
    for one, other in (lines[:2], lines[2:]):
        assert columns(one.partition("x87|")[0]) == columns(other.partition("x87|")[0])


def columns(text):
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def test_one_of_each():
    one = TaskTotals(
        *(
            1,
            1,
            "a",
            1,
            2,
            1,
            Counter({SIGFRAME: 1}),
            7,
            1,
            0,
            1,
            1,
            Use(Answer.YES),
            Counter({"STALE": 1}),
        ),
        Counter({"AVX": 1}),
    )
    text = report_table(
        report((one,), tasks=1, kthreads=1, using=1, hits=1, audits=1, undecided={"READ": 1}),
        *("task", "", PLAIN),
    )
    assert text.split("\n")[0] == (
        "a took 1 of 1 hit, with AVX in use; 1 of 1 task uses the FPU (1 is a kernel thread, "
        "without FPU state); 1 hit; lazy switching; 1 finding in 1 audit"
    )
    assert text.split("\n")[-3:] == [
        "",
        "made clean for a (pid 1): AVX 1 byte",
        "memory alone could not tell: READ 1 time",
    ]


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (0x207, ", with AVX in use"),
        (0x3, ", with SSE in use"),
        (0x1, ", with x87 in use"),
        (0x2E7, ", with Hi16_ZMM in use"),
        (0x67, ", with ZMM_Hi256 in use"),
        (0x27, ", with opmask in use"),
        (0x800E7, ", with APX in use"),
        (0x602E7, ", with TILEDATA in use"),
        (1 << 42 | 0x200, ""),
    ],
)
def test_the_headline_names_the_busiest_task_and_its_widest_registers(mask, said):
    busy, idle = rows()[0], rows()[1]
    busy.components = mask
    text = headline(report((idle, busy), seconds=2.0))
    assert text.startswith(f"Xorg took 60 of 61 hits{said}; 1 of 20 tasks uses the FPU (")


def test_the_headline_names_no_registers_of_a_task_that_does_not_use_them():
    busy = rows()[0]
    for answer in (Answer.NO, Answer.UNKNOWN):
        busy.use = Use(answer, "x")
        assert headline(report((busy,))).startswith("Xorg took 60 of 61 hits; 1 of 20")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "61 hits"),
        (0.05, "61 hits in 0.050 s, 1220/s"),
        (3.17, "61 hits in 3.17 s, 19.2/s"),
        (25.0, "61 hits in 25.0 s, 2.44/s"),
        (1.0, "61 hits in 1.00 s, 61.0/s"),
        (10.0, "61 hits in 10.0 s, 6.10/s"),
        (100.0, "61 hits in 100 s, 0.610/s"),
        (3600.0, "61 hits in 3600 s, 0.017/s"),
    ],
)
def test_the_headline_says_how_long_and_how_fast(seconds, said):
    assert headline(report(seconds=seconds)).split("; ")[2:] == [said, "lazy switching"]


@pytest.mark.parametrize(
    ("audits", "findings", "said"),
    [
        (0, {}, "lazy switching"),
        (7, {}, "no findings in 7 audits"),
        (1, {"STALE": 1, "FORK": 2}, "3 findings in 1 audit"),
    ],
)
def test_the_headline_says_what_audits_found(audits, findings, said):
    found = rows()
    found[2].findings.update(findings)
    assert headline(report(found, audits=audits)).split("; ")[-1] == said


def test_none_of_one():
    text = report_table(report((), tasks=1, kthreads=0, using=0, hits=0), "task", "", PLAIN)
    said = (
        "0 of 1 task uses the FPU (0 are kernel threads, without FPU state); 0 hits; lazy switching"
    )
    assert text.split("\n")[0] == said


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tabulate", None)
    with pytest.raises(UsageError) as caught:
        report_table(report(), "task", "", PLAIN)
    said = "tables need the Python package tabulate: install it, or ask for JSON"
    assert str(caught.value) == said
    assert report_csv(report(), "task", "")


def test_paint():
    assert paint("yes", "green", on=False) == "yes"
    painted = paint("yes", "green", on=True)
    assert ESCAPE.sub("", painted) == "yes"
    assert painted != "yes"
    assert paint("yes", "red", on=True) != painted


# --- CSV


def parsed(by, order="", **fields):
    text = report_csv(report(**fields), by, order)
    assert text.endswith("\n")
    assert "\x1b" not in text
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_of_tasks():
    assert parsed("task") == [
        {
            "thread": "2",
            "pid": "30",
            "tgid": "30",
            "comm": "Xorg",
            "uses_fpu": "yes",
            SIGFRAME: "54",
            SANITIZE: "6",
            "cpu": "1",
            "components": "x87|SSE|AVX",
            "live_hits": "50",
            "memory_hits": "10",
            "first_ns": "3600005000000",
            "last_ns": "7325999999999",
            "findings": "0",
            "why": "AVX values in the frame of hit 3",
        },
        {
            "thread": "",
            "pid": "40",
            "tgid": "39",
            "comm": r"evil\x1b[31m",
            "uses_fpu": "",
            SIGFRAME: "1",
            SANITIZE: "0",
            "cpu": "0",
            "components": "",
            "live_hits": "0",
            "memory_hits": "1",
            "first_ns": "1",
            "last_ns": "1",
            "findings": "0",
            "why": "",
        },
        {
            "thread": "9",
            "pid": "7",
            "tgid": "7",
            "comm": "001",
            "uses_fpu": "no",
            SIGFRAME: "0",
            SANITIZE: "0",
            "cpu": "",
            "components": "",
            "live_hits": "0",
            "memory_hits": "0",
            "first_ns": "",
            "last_ns": "",
            "findings": "0",
            "why": "initial in 3 frames",
        },
    ]


def test_why_is_a_column_that_is_asked_for():
    plain = report_table(report(), "task", "", PLAIN)
    assert "why" not in plain.split("\n")[2]
    lines = report_table(report(), "task", "", PLAIN, why=True).split("\n")[2:]
    at = lines[0].index("why")
    assert [line[at:] for line in lines[2:5]] == [
        "AVX values in the frame of hit 3",
        "-",
        "initial in 3 frames",
    ]


def test_csv_in_an_order():
    assert [row["pid"] for row in parsed("task", "pid")] == ["7", "30", "40"]


@pytest.mark.parametrize("name", ["=cmd|'/c calc'!A", "+1", "-2+3", "@SUM(A1)"])
def test_csv_hands_a_spreadsheet_no_formula(name):
    """Nor does a function's name of somebody's event file, as a value or in the heading."""
    hostile = TaskTotals(1, 1, name, 1, None, 0, Counter({name: 1}), -1, 1)
    for by in ("task", "probe", "path"):
        text = report_csv(report((hostile,), paths=(((name, "a"), 1),)), by, "")
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert f"'{name}" in [cell.removesuffix(" < a") for cell in cells]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("name", ["a,b", 'a"b', "a b", "é", "'", ";", "a=b", "a-b"])
def test_csv_of_awkward_names(name):
    (row,) = parsed("task", rows=(TaskTotals(1, 1, name, 1),))
    assert row["comm"] == name


def test_csv_of_probes_and_paths():
    assert parsed("probe") == [
        {"hits": "55", "tasks": "2", "function": SIGFRAME},
        {"hits": "6", "tasks": "1", "function": SANITIZE},
    ]
    assert parsed("path") == [
        {"hits": "55", "path": f"{SIGFRAME} < a < b"},
        {"hits": "6", "path": SANITIZE},
    ]
    assert parsed("path", paths=()) == []
