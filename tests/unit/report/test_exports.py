# SPDX-License-Identifier: GPL-2.0-or-later
"""Event files as CSV, folded stacks, Markdown and timelines, each read by Python's own readers."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import subprocess
import sys
from html import unescape

import jsonschema
import pytest
from event_files import HEADER, HIT, OTHER, SANITIZE, SIGFRAME, written
from markdown_it import MarkdownIt
from peak import peak

from gdbfpu.commands.export import export
from gdbfpu.commands.export_options import FORMS, ExportOptions
from gdbfpu.kernel.tasks import Task
from gdbfpu.report import folded, perfetto
from gdbfpu.report.event_lines import Header
from gdbfpu.trace.totals import Facts

TRACER = {**HIT, "seq": 3, "time_ns": 4500, "live": False, "function": SANITIZE, "cpu": 0,
          "xfeatures": "0x3", "caller_pid": 77, "caller_comm": "gdb\"x", "uses_fpu": None,
          "why": "", "backtrace": ["xfpregs_get", "ptrace_request"]}  # fmt: skip
HITS = (HIT, {**OTHER, "seq": 2, "caller_pid": 31, "caller_comm": "intonly"}, TRACER)
SAID = (
    {"use_of": 3, "task": HIT["task"], "pid": 30, "uses_fpu": True, "why": "x"},
    {"of": 3, "pid": 30, "findings": [], "undecided": [], "cleaned": {}},
)


def exported(tmp_path, form, *hits, status=0, **options):
    """Return what `gdbfpu export` writes of these lines."""
    out = tmp_path / "out"
    file = written(tmp_path / "hits.jsonl", *hits)
    assert export(ExportOptions(file=file, to=form, out=out, **options)) == status
    return out.read_text(encoding="utf-8")


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_csv(tmp_path):
    first, second, third = rows(exported(tmp_path, "csv", *HITS, *SAID))
    assert first == {
        "seq": "1", "time_ns": "1000", "function": SIGFRAME, "thread": "7", "pid": "30",
        "tgid": "29", "comm": "Xorg", "cpu": "1", "task": "0xffff888000001000",
        "fpu": "0xffff888000001700", "components": "x87|SSE|AVX", "live": "yes", "uses_fpu": "yes",
        "why": "AVX values in memory at hit 1", "backtrace": "get_sigframe",
    }  # fmt: skip
    assert (second["thread"], second["components"], second["uses_fpu"]) == ("", "", "no")
    assert (third["live"], third["uses_fpu"], third["why"]) == ("no", "", "")
    assert third["backtrace"] == "xfpregs_get < ptrace_request"


def test_csv_of_names_that_are_formulas(tmp_path):
    (row,) = rows(exported(tmp_path, "csv", {**HIT, "comm": "=cmd|'x'!A,\"1"}))
    assert row["comm"] == "'=cmd|'x'!A,\"1"


@pytest.mark.parametrize(
    ("root", "saved", "read"),
    [
        ("task", {"Xorg": 2, "intonly": 1}, "Xorg"),
        ("cpu", {"CPU 1": 3}, "CPU 0"),
        ("component", {"x87|SSE|AVX": 2, "-": 1}, "x87|SSE"),
    ],
)
def test_folded_stacks_begin_outside(tmp_path, root, saved, read):
    text = exported(tmp_path, "folded", *HITS, HIT, root=root)
    wanted = [f"{name};get_sigframe;{SIGFRAME} {count}" for name, count in saved.items()]
    wanted.append(f"{read};ptrace_request;xfpregs_get;{SANITIZE} 1")
    assert text.splitlines() == sorted(wanted)


def test_a_name_is_one_frame(tmp_path):
    text = exported(tmp_path, "folded", {**HIT, "comm": "a;b c"})
    assert text == f"a:b c;get_sigframe;{SIGFRAME} 1\n"


def test_stacks_beyond_the_cap_are_counted_together(tmp_path, monkeypatch):
    monkeypatch.setattr(folded, "MAX_PATHS", 2)
    hits = ({**HIT, "comm": f"t{number}"} for number in (1, 2, 3, 4, 1))
    assert exported(tmp_path, "folded", *hits).splitlines() == [
        "(other stacks) 2",
        f"t1;get_sigframe;{SIGFRAME} 2",
        f"t2;get_sigframe;{SIGFRAME} 1",
    ]


def timeline(tmp_path, *hits, **more):
    return json.loads(exported(tmp_path, "perfetto", *hits, **more))


def of(trace, phase):
    return [event for event in trace["traceEvents"] if event["ph"] == phase]


def test_a_timeline_has_tracks_of_cpus_and_of_tasks(tmp_path):
    trace = timeline(tmp_path, *HITS, *SAID)
    assert trace["otherData"] == {"kernel": HEADER["kernel"], "switching": "lazy"}
    cpus = perfetto._CPUS
    assert {(e["name"], e["pid"], e["tid"], e["args"]["name"]) for e in of(trace, "M")} == {
        ("process_name", cpus, 0, "CPUs"),
        ("thread_name", cpus, 1, "CPU 1"),
        ("thread_name", cpus, 0, "CPU 0"),
        ("thread_name", 29, 30, "Xorg"),  # a thread of 29: only a leader names its process
        ("thread_name", 31, 31, "intonly"),
        ("process_name", 31, 31, "intonly"),
    }
    slices = [(e["name"], e["pid"], e["tid"], e["ts"], e["args"]["hit"]) for e in of(trace, "X")]
    assert slices == [
        ("Xorg (30)", cpus, 1, 0.0, 1),
        (SIGFRAME, 29, 30, 0.0, 1),
        ("intonly (31)", cpus, 1, 0.0, 2),
        (SIGFRAME, 31, 31, 0.0, 2),
        ("Xorg (30)", cpus, 0, 3.5, 3),  # us after the first
        (SANITIZE, 29, 30, 3.5, 3),
        ('gdb"x reads Xorg (30)', 77, 77, 3.5, 3),
    ]
    assert {event["dur"] for event in of(trace, "X")} == {1}
    assert of(trace, "X")[4]["args"] == {
        "hit": 3, "function": SANITIZE, "callers": "xfpregs_get < ptrace_request",
        "components": "x87|SSE", "registers": "in memory",
    }  # fmt: skip


def test_a_timeline_has_an_arrow_from_a_tracer_to_its_tracee(tmp_path):
    trace = timeline(tmp_path, *HITS)
    (start,), (end,) = of(trace, "s"), of(trace, "f")
    assert (start["pid"], start["tid"], start["ts"]) == (77, 77, 3.5)
    assert (end["pid"], end["tid"], end["ts"], end["bp"]) == (29, 30, 3.5, "e")
    assert (start["id"], start["name"], start["cat"]) == (end["id"], end["name"], end["cat"])


def test_a_timeline_counts_the_tasks_that_use_a_component(tmp_path):
    more = {**HIT, "seq": 4, "time_ns": 6000, "task": "0x1000", "xfeatures": "0x6"}
    counts = [(e["ts"], e["name"], e["args"]) for e in of(timeline(tmp_path, *HITS, more), "C")]
    assert counts == [
        (ts, f"{name} in XSTATE_BV", {"tasks": tasks})
        for ts, name, tasks in [
            *((0.0, "x87", 1), (0.0, "SSE", 1), (0.0, "AVX", 1)),
            *((3.5, "AVX", 0), (5.0, "SSE", 2), (5.0, "AVX", 1)),
        ]
    ]


def test_a_timeline_counts_again_when_it_knows_too_many_tasks(tmp_path, monkeypatch):
    """Then each task counts from its next hit on; its track has a name nevertheless."""
    monkeypatch.setattr(perfetto, "MAX_ROWS", 2)
    hits = [{**HIT, "pid": n, "task": hex(n), "xfeatures": "0x1"} for n in (1, 2, 3, 1)]
    trace = timeline(tmp_path, *hits)
    assert [event["args"]["tasks"] for event in of(trace, "C")] == [1, 2, 1, 2]
    named = {event["tid"] for event in of(trace, "M") if event["name"] == "thread_name"}
    assert {1, 2, 3} <= named


def test_a_timeline_needs_no_more_memory_for_more_tasks(monkeypatch):
    monkeypatch.setattr(perfetto, "MAX_ROWS", 10)
    writer = perfetto.Perfetto(lambda line: None, Header("Linux", "lazy", "", ""))
    numbers = itertools.count(1)

    def write() -> None:
        for n in itertools.islice(numbers, 3000):
            facts = Facts(n, n, None, 1 << n % 64, True, None)
            event = {"seq": n, "caller_pid": 1, "caller_comm": "gdb"}
            writer.add(event, (Task(n, n, n, f"t{n}", False), (f"f{n}", "x" * 50), facts))

    assert peak(write)[1] < 200_000


def test_slices_of_one_path_tell_live_from_memory(tmp_path):
    trace = timeline(tmp_path, HIT, {**HIT, "live": False}, {**HIT, "xfeatures": "0x3"})
    seen = [(e["args"]["registers"], e["args"]["components"]) for e in of(trace, "X")[1::2]]
    assert seen == [
        ("in the CPU", "x87|SSE|AVX"),
        ("in memory", "x87|SSE|AVX"),
        ("in the CPU", "x87|SSE"),
    ]


def test_names_of_tracers_are_cut_and_keep_no_backslash_at_their_end(tmp_path):
    r"""Perfetto's page fails on `\\\\"`: a backslash is written as its number."""
    for comm, shown in (("g" * 80, "g" * 64), ("", "?"), ("a\\", "a\\")):
        text = exported(tmp_path, "perfetto", {**HIT, "caller_pid": 5, "caller_comm": comm})
        (tmp_path / "out").unlink()
        assert f"{shown} reads Xorg (30)" in [e["name"] for e in json.loads(text)["traceEvents"]]
        assert "\\\\" not in text


NUMBERS = {"type": "object", "additionalProperties": {"type": "number"}}
TRACE_EVENTS = {  # of the Trace Event Format's description, what gdbfpu writes
    "M": {"name": {"enum": ["process_name", "thread_name"]}, "args": {"required": ["name"]}},
    "X": {"ts": {"type": "number"}, "dur": {"type": "number"}, "args": {"type": "object"}},
    "C": {"ts": {"type": "number"}, "args": NUMBERS},
    "s": {"ts": {"type": "number"}, "id": {"type": "integer"}, "cat": {"type": "string"}},
    "f": {"ts": {"type": "number"}, "id": {"type": "integer"}, "bp": {"const": "e"}},
}


def test_a_timeline_follows_the_schema_of_its_format(tmp_path):
    common = {"name": {"type": "string"}, "pid": {"type": "integer"}, "tid": {"type": "integer"}}
    seen = set()
    for event in timeline(tmp_path, *HITS, *SAID)["traceEvents"]:
        keys = {**common, **TRACE_EVENTS[event["ph"]]}
        needed = [key for key in keys if not (key == "tid" and event["ph"] == "C")]
        jsonschema.validate(event, {"properties": keys, "required": needed})
        seen.add(event["ph"])
    assert seen == set(TRACE_EVENTS)


@pytest.mark.parametrize("key", ["function", "comm", "caller_comm"])
def test_names_cannot_leave_their_strings(tmp_path, key):
    name = 'x","pid":1,"args":{"y'
    trace = timeline(tmp_path, {**HIT, key: name, "caller_pid": 5})
    assert all(event["pid"] in (perfetto._CPUS, 29, 5) for event in trace["traceEvents"])


def test_a_hit_that_lacks_something_leaves_nothing_in_a_timeline(tmp_path):
    bad = {**TRACER, "caller_comm": 5}
    trace = timeline(tmp_path, bad, HIT, status=1)
    assert [event["args"]["hit"] for event in of(trace, "X")] == [1, 1]


def test_markdown_escapes_what_is_markdowns(tmp_path):
    text = exported(tmp_path, "markdown", {**HIT, "comm": "a|b_*<x>"}, OTHER)
    lines = text.splitlines()
    assert lines[0] == (
        r"a\|b\_\*\<x\> took 1 of 2 hits, with AVX in use; "
        "2 tasks in hits.jsonl, 1 of them known to use the FPU; 2 hits; lazy switching."
    )
    assert lines[2] == "Kernel: Linux version 4.4.60 (me@here)"
    assert lines[6] == (
        r"| a\|b\_\*\<x\> | 30 | yes | 1 | x87\|SSE\|AVX | 1 | 0 | AVX values in memory at hit 1 |"
    )
    assert {line.replace(r"\|", "").count("|") for line in lines[4:8]} == {9}


def test_markdown_leaves_a_reader_what_was_written(tmp_path):
    r"""Each character that Markdown takes for its own, and the escape `\x1b` of a name."""
    comm = "\\`x`\x1b*_{}[]<>#|~"
    text = exported(tmp_path, "markdown", {**HIT, "comm": comm}, b"{}", status=1)
    html = MarkdownIt().enable("table").render(text)
    cells = re.findall(r"<td>(.*?)</td>", html)
    assert unescape(cells[0]) == r"\`x`\x1b*_{}[]<>#|~"
    assert "<li>incomplete: line 3: 'task' is missing</li>" in html


@pytest.mark.parametrize("form", FORMS)
def test_memory_does_not_grow_with_the_file(tmp_path, form):
    file = written(tmp_path / "hits", *[{**HIT, "raw": "0" * 16_000}] * 1000, HIT)
    outs = iter((tmp_path / "first", tmp_path / "second"))
    status, most = peak(lambda: export(ExportOptions(file=file, to=form, out=next(outs))))
    assert status == 0
    assert most < 4 << 20


# --- the command line


def gdbfpu(*words, given=b""):
    command = [sys.executable, "-m", "gdbfpu", "export", *map(str, words)]
    return subprocess.run(command, capture_output=True, input=given, timeout=30)


def test_from_standard_input_with_a_choice(tmp_path):
    given = written(tmp_path / "hits", *HITS).read_bytes()
    done = gdbfpu("-", "--to", "csv", "--pid", "31", "--pid", "99", given=given)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [row["comm"] for row in rows(done.stdout.decode())] == ["intonly"]


def test_what_cannot_be_read_is_told_and_the_rest_written(tmp_path):
    written(tmp_path / "hits", HIT, b"{}", end=b'{"seq": 1')
    done = gdbfpu(tmp_path / "hits", "--to", "csv")
    assert (done.returncode, len(rows(done.stdout.decode()))) == (1, 1)
    assert done.stderr.decode().splitlines() == [
        "gdbfpu: incomplete: line 3: 'task' is missing",
        "gdbfpu: incomplete: line 4: cut short, as when a session is killed",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x"], "the following arguments are required: --to"),
        (["x", "--to", "pdf"], "--to: there is no 'pdf': choose from csv, folded, html, markdown, "
         "perfetto"),
        (["x", "--to", "csv", "--component", "AXV"], "--component: there is no 'AXV': did you mean "
         "`AVX`?"),
        (["x", "--to", "csv", "--since", "-1"], "argument --since: '-1' is not a number of "
         "seconds"),
        (["x", "--to", "csv", "--until", "nan"], "argument --until: 'nan' is not a number of "
         "seconds"),
    ],
)  # fmt: skip
def test_wrong_words(words, said):
    done = gdbfpu(*words)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith(f"gdbfpu: {said}")


def test_what_is_no_event_file_leaves_nothing(tmp_path):
    (tmp_path / "hits").write_text("hello\n")
    done = gdbfpu(tmp_path / "hits", "--to", "csv", "--out", tmp_path / "out")
    assert (done.returncode, [p.name for p in tmp_path.iterdir()]) == (1, ["hits"])
    assert b"is not an event file" in done.stderr
