# SPDX-License-Identifier: GPL-2.0-or-later
"""The report of an event file, honest or hostile. All that is expected is counted by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from event_files import HEADER, HIT, OTHER, SANITIZE, SIGFRAME, written
from peak import peak

from gdbfpu.errors import UsageError
from gdbfpu.fpu.evidence import Answer
from gdbfpu.probes.catalogue import CATALOGUE
from gdbfpu.report import event_hits
from gdbfpu.report.event_lines import MAX_LINE, open_events
from gdbfpu.report.from_events import report_of_files
from gdbfpu.report.report import SORTS
from gdbfpu.report.text import report_csv, report_table
from gdbfpu.text.screen import PLAIN
from gdbfpu.trace import totals as totals_module
from gdbfpu.trace.task_totals import TaskTotals


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hits.jsonl"


def report_of_file(path, progress):
    with open_events(path, progress) as lines:
        return report_of_files((lines,))


def report(path, *hits, **more):
    return report_of_file(written(path, *hits, **more), lambda lines: None)


# --- what an honest file adds up to


def test_hits_add_up_by_task(path):
    found = report(
        path,
        HIT,
        {**HIT, "time_ns": 2000, "live": False, "function": SANITIZE, "xfeatures": "0x40000000200"},
        OTHER,
        {**HIT, "time_ns": 3000, "comm": "Xorg:sh0", "cpu": 0, "thread": 9, "uses_fpu": None},
    )
    assert found.to_json() == {
        "kernel": "Linux version 4.4.60 (me@here)",
        "switching": "lazy",
        "tasks": [
            {
                "thread": 9,
                "pid": 30,
                "tgid": 29,
                "comm": "Xorg:sh0",
                "hits": {SIGFRAME: 2, SANITIZE: 1},
                "cpu": 0,
                "components": ["x87", "SSE", "AVX", "PKRU", "bit 42"],
                "component_hits": {"x87": 2, "SSE": 2, "AVX": 2, "PKRU": 1, "bit 42": 1},
                "live_hits": 2,
                "memory_hits": 1,
                "first_ns": 1000,
                "last_ns": 3000,
                "uses_fpu": True,
                "why": "AVX values in memory at hit 1",
                "findings": {},
                "cleaned": {},
            },
            {
                "thread": None,
                "pid": 31,
                "tgid": 31,
                "comm": "intonly",
                "hits": {SIGFRAME: 1},
                "cpu": 1,
                "components": [],
                "component_hits": {},
                "live_hits": 1,
                "memory_hits": 0,
                "first_ns": 1000,
                "last_ns": 1000,
                "uses_fpu": False,
                "why": "a kernel thread",
                "findings": {},
                "cleaned": {},
            },
        ],
        "totals": {"tasks": 2, "using_fpu": 1, "hits": 4, "seconds": 2e-6},
        "defects": [],
        "audits": 0,
        "undecided": {},
    }
    assert (found.source, found.kthreads) == ("hits.jsonl", 0)


def test_the_json_of_a_report_follows_its_schema(path):
    """A kernel's, too: its tasks without hits have other values."""
    schema = json.loads((Path(__file__).parents[3] / "docs" / "report.schema.json").read_text())
    check = jsonschema.Draft202012Validator(schema)
    found = report(path, HIT, {**OTHER, "thread": None}, HIT)
    idle = TaskTotals(7, 7, "idle", 3)
    for each in (found, report(path), replace(found, rows=(*found.rows, idle))):
        assert list(check.iter_errors(json.loads(json.dumps(each.to_json())))) == []
    broken = found.to_json()
    del broken["tasks"][0]["comm"]
    broken["totals"]["hits"] = "3"
    assert len(list(check.iter_errors(broken))) == 2


def test_a_pid_used_again_is_another_task(path):
    found = report(path, HIT, {**HIT, "task": "0xffff888000009000"}, HIT)
    assert [row.count for row in found.rows] == [2, 1]


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ([None, None], None),
        ([None, False], False),
        ([False, None], None),
        ([False, True, False, None], True),
        (["absent"], None),  # a file written before the key was
    ],
)
def test_use_that_was_seen_once_stays(path, said, known):
    hits = [{**HIT, "uses_fpu": value} for value in said]
    for hit in hits:
        if hit["uses_fpu"] == "absent":
            del hit["uses_fpu"], hit["why"]
    found = report(path, *hits)
    assert found.rows[0].use.answer.to_json() is known
    assert found.using == (known is True)


def test_header_bits_alone_prove_no_use(path):
    hit = {key: value for key, value in HIT.items() if key not in ("uses_fpu", "why")}
    found = report(path, hit, header={**HEADER, "switching": "eager"})
    assert (found.rows[0].components, found.rows[0].use.answer, found.using) == (
        7,
        Answer.UNKNOWN,
        0,
    )
    assert found.switching == "eager"


def test_users_come_first_then_most_hits_then_pid(path):
    third = {**OTHER, "pid": 5, "task": "0xffff888000003000"}
    found = report(path, OTHER, third, OTHER, HIT, {**third, "pid": 6})
    assert [row.pid for row in found.rows] == [30, 31, 5, 6]
    assert {order: found.sorted(order)[0].pid for order in SORTS} == {
        "hits": 31, "pid": 5, "name": 31, "thread": 30, "cpu": 30, "first": 30, "last": 30,
        "tgid": 30, "components": 30, "live": 31, "memory": 30, "findings": 30,
    }  # fmt: skip


def test_tables_and_csv(path):
    deep = {**HIT, "backtrace": ["get_sigframe", "handle_signal"]}
    found = report(path, deep, deep, OTHER, {**OTHER, "function": SANITIZE, "backtrace": []})
    assert report_table(found, "path", "", PLAIN).split("\n")[4:7] == [
        f"     2  {SIGFRAME} < get_sigframe < handle_signal",
        f"     1  {SIGFRAME} < get_sigframe",
        f"     1  {SANITIZE}",
    ]
    first, *_, three, one = report_table(found, "probe", "", PLAIN).split("\n")
    assert (three, one) == (f"     3        2  {SIGFRAME}", f"     1        1  {SANITIZE}")
    assert first == (
        "Xorg took 2 of 4 hits, with AVX in use; 2 tasks in hits.jsonl, 1 of them known to use "
        "the FPU; 4 hits; lazy switching"
    )
    assert report_csv(found, "task", "pid").splitlines() == [
        "thread,pid,tgid,comm,uses_fpu,copy_fpstate_to_sigframe,fpstate_sanitize_xstate,"
        "cpu,components,live_hits,memory_hits,first_ns,last_ns,findings,why",
        "7,30,29,Xorg,yes,2,0,1,x87|SSE|AVX,2,0,1000,1000,0,AVX values in memory at hit 1",
        ",31,31,intonly,no,1,1,1,,2,0,1000,1000,0,a kernel thread",
    ]


FRAME = {"use_of": 1, "task": HIT["task"], "pid": 30, "uses_fpu": True, "why": "SSE"}


def test_a_frame_tells_more_of_its_task(path):
    hit = {**HIT, "uses_fpu": None, "why": "not seen yet"}
    found = report(path, hit, FRAME, {**hit, "seq": 2}, {**FRAME, "uses_fpu": False, "why": "no"})
    assert found.rows[0].use == (Answer.YES, "SSE")
    assert (found.hits, found.defects) == (2, ())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"pid": 77}, "a signal frame of a task that was never hit"),
        ({"use_of": -1}, f"`use_of` is not a number from 0 to {2**64 - 1}"),
        ({"uses_fpu": 1}, "`uses_fpu` is neither true nor false"),
        ({"why": 1}, "`why` is not a string"),
        ({"task": "here"}, "`task` is not a hexadecimal number of up to 64 bits"),
    ],
)
def test_a_frame_that_tells_nothing_is_left_out(path, change, why):
    found = report(path, {**HIT, "uses_fpu": None, "why": ""}, {**FRAME, **change})
    assert found.rows[0].use.answer is Answer.UNKNOWN
    assert found.defects == (f"line 3: {why}",)


def test_why_is_fit_for_a_terminal(path):
    found = report(path, {**HIT, "why": "\x1b[31m" + "x" * 1000})
    assert found.rows[0].use.why == r"\x1b[31m" + "x" * 248


AUDIT = {
    "of": 1,
    "time_ns": 1500,
    "function": SANITIZE,
    "pid": 30,
    "findings": [{"rule": "SANITIZE", "severity": "error"}, {"rule": "STALE"}, {"rule": "NEW"}],
    "undecided": ["FORK: its parent has ended"],
    "cleaned": {"AVX": 256, "bit 42": 8},
    "left": {},
}


def test_audits_of_calls_add_up(path):
    used_again = {**HIT, "task": "0xffff888000009000"}
    second = {**AUDIT, "findings": [{"rule": "STALE"}], "cleaned": {"AVX": 16}, "undecided": []}
    found = report(path, HIT, OTHER, AUDIT, second, used_again, {**second, "cleaned": {}})
    assert [(row.findings, row.cleaned, row.count) for row in found.rows] == [
        ({"SANITIZE": 1, "STALE": 2, "(other rules)": 1}, {"AVX": 272, "bit 42": 8}, 1),
        ({"STALE": 1}, {}, 1),
        ({}, {}, 1),
    ]
    assert (found.audits, found.undecided, found.hits, found.defects) == (3, {"FORK": 1}, 3, ())
    assert "; 5 findings in 3 audits\n" in report_table(found, "task", "", PLAIN)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"pid": 31}, "an audit of a task that was never hit"),
        ({"pid": "30"}, "`pid` is not a number from 0 to 2147483647"),
        ({"findings": {"rule": "STALE"}}, "`findings` is not a list"),
        ({"findings": [{"rule": 5}]}, "the name of a rule is not a string"),
        ({"findings": [{}]}, "'rule' is missing"),
        ({"findings": ["STALE"]}, "a value has the wrong type"),
        ({"undecided": [None]}, "the name of a rule is not a string"),
        ({"undecided": None}, "`undecided` is not a list"),
        ({"cleaned": []}, "`cleaned` does not map components to bytes"),
        ({"cleaned": {"\x1b[31m": 1}}, "`cleaned` does not map components to bytes"),
        ({"cleaned": {"AVX": -1}}, "`cleaned` is not a number from 0 to 2147483647"),
        ({"cleaned": {"AVX": 2**31}}, "`cleaned` is not a number from 0 to 2147483647"),
    ],
)
def test_audit_that_is_none(path, change, why):
    found = report(path, HIT, {**AUDIT, **change})
    assert found.defects == (f"line 3: {why}",)
    assert (found.audits, found.rows[0].findings, found.rows[0].cleaned) == (0, {}, {})


def test_header_alone_is_a_trace_without_hits(path):
    found = report(path)
    assert (found.rows, found.tasks, found.hits, found.defects) == ((), 0, 0, ())


def test_more_keys_change_nothing(path):
    plain = report(path, HIT)
    more = {**HIT, "new": {"deep": [1, {}]}, "raw": "00" * 11_000}
    assert report(path, more, header={**HEADER, "new": 1}) == plain


def test_progress_is_told_of_lines(path):
    told = []
    report_of_file(written(path, *[HIT] * 700), told.append)
    assert told == [256, 512]


# --- files that are none


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"hello\n",
        b"[1]\n",
        b"{}\n",
        b'{"kernel": "Linux"}\n',
        b'"schema"\n',
        b"1\n",
        b"\x7fELF\xff\xfe\n",
        b"\xff\xfe{\0}\0\n\0",
        b"[" * 100_000 + b"\n",
        b'{"schema": ' + b"1" * 5000 + b"}\n",
        b'{"schema": 1, "x": "' + b"x" * MAX_LINE + b'"}\n',
    ],
)
def test_no_event_file(path, data):
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        report_of_file(path, lambda lines: None)
    assert str(caught.value) == f"{path} is not an event file: write one with `fpu-trace on --out`"


@pytest.mark.parametrize("schema", [2, 0, True, 1.0, "1", None, [1], {"a": 1}, 10**4000])
def test_another_schema(path, schema):
    with pytest.raises(UsageError) as caught:
        report(path, HIT, header={**HEADER, "schema": schema})
    assert str(caught.value) == (
        f"{path} has a schema other than 1: read it with the gdbfpu that wrote it"
    )


def test_files_that_cannot_be_read(tmp_path):
    for name, reason in (("none", "No such file or directory"), ("", "Is a directory")):
        with pytest.raises(UsageError) as caught:
            report_of_file(tmp_path / name, lambda lines: None)
        assert str(caught.value) == f"cannot read {tmp_path / name}: {reason}"


def test_a_device_without_lines_is_no_event_file():
    with pytest.raises(UsageError, match="/dev/zero is not an event file"):
        report_of_file(Path("/dev/zero"), lambda lines: None)


def test_header_that_tells_nothing(path):
    found = report(path, HIT, header={"schema": 1, "kernel": 5, "switching": "\x1b[31mlazy"})
    assert (found.kernel, found.switching, found.hits) == ("?", "unknown", 1)
    found = report(path, HIT, header={**HEADER, "kernel": "\x1b]0;x\x07" + "y" * 10_000})
    assert found.kernel.startswith(r"\x1b]0;x\x07yyy")
    assert len(found.kernel) == 512


# --- lines that are none


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\0" * 50, "not JSON"),
        (b'{"comm": "\xff"}', "not JSON"),
        (b"{" + b'"a":{' * 40_000 + b"}" * 40_001, "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'{"pid": ' + b"9" * 100_000 + b"}", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "'task' is missing"),
        (json.dumps(HEADER).encode(), "'task' is missing"),
        (b"x" * MAX_LINE, f"longer than {MAX_LINE} bytes"),
        (b"x" * (3 * MAX_LINE), f"longer than {MAX_LINE} bytes"),
    ],
)
def test_line_that_is_no_hit(path, line, why):
    found = report(path, HIT, line, HIT)
    assert found.defects == (f"line 3: {why}",)
    assert found.hits == 2


_S32, _U64 = 2**31 - 1, 2**64 - 1
_NAMES = "`function` is not a string, or `backtrace` not a list of strings"
_WRONG = "a value has the wrong type"


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        *(
            ("pid", v, f"`pid` is not a number from 0 to {_S32}")
            for v in (-1, 2**31, True, "1", 1.5)
        ),
        ("pid", [1], _WRONG),
        ("pid", float("nan"), f"`pid` is not a number from 0 to {_S32}"),
        ("tgid", 29.0, f"`tgid` is not a number from 0 to {_S32}"),  # equal to HIT's
        ("tgid", None, f"`tgid` is not a number from 0 to {_S32}"),
        ("cpu", -1, f"`cpu` is not a number from 0 to {_S32}"),
        ("cpu", {}, f"`cpu` is not a number from 0 to {_S32}"),
        ("thread", 10**30, f"`thread` is not a number from 0 to {_S32}"),
        ("time_ns", 2**64, f"`time_ns` is not a number from 0 to {_U64}"),
        ("time_ns", 1e300, f"`time_ns` is not a number from 0 to {_U64}"),
        ("comm", 5, "`comm` is not a string of up to 64 characters"),
        ("comm", "x" * 65, "`comm` is not a string of up to 64 characters"),
        *(
            ("task", v, "`task` is not a hexadecimal number of up to 64 bits")
            for v in (5, "", "0x", "-0x1", "0x1_0", "0X1", " 0x1", "0x1\n", "0x" + "1" * 17, "0x٣")
        ),
        ("xfeatures", "7", "`xfeatures` is not a hexadecimal number of up to 64 bits"),
        ("xfeatures", 7, "`xfeatures` is not a hexadecimal number of up to 64 bits"),
        ("xfeatures", {}, _WRONG),
        ("live", 1, "`live` is neither true nor false"),
        ("live", None, "`live` is neither true nor false"),
        ("uses_fpu", "yes", "`uses_fpu` is neither true nor false"),
        ("function", None, _NAMES),
        ("function", ["f"], _WRONG),
        ("backtrace", "abc", _NAMES),
        ("backtrace", ["a", None], _NAMES),
        ("backtrace", {"get_sigframe": 1}, _NAMES),
        ("backtrace", None, _NAMES),
        ("backtrace", [[]], _WRONG),
    ],
)
def test_value_that_is_none(path, key, value, why):
    """Such a line leaves nothing behind, neither at first nor when its like was seen already."""
    for before, hits in ((), 0), ((HIT,), 1):
        found = report(path, *before, {**HIT, key: value})
        assert found.defects == (f"line {2 + hits}: {why}",)
        assert (found.hits, found.tasks) == (hits, hits)
        assert sum(row.count for row in found.rows) == hits


@pytest.mark.parametrize("key", ["pid", "tgid"])
@pytest.mark.parametrize("value", [True, 1.0])
def test_what_equals_a_number_is_none(path, key, value):
    """Python takes them for the same where it looks up what it has kept."""
    found = report(path, {**HIT, key: 1}, {**HIT, key: value})
    assert found.defects == (f"line 3: `{key}` is not a number from 0 to {_S32}",)
    assert found.hits == 1


@pytest.mark.parametrize(
    "key", ["task", "pid", "tgid", "comm", "time_ns", "cpu", "thread", "xfeatures", "live",
            "function", "backtrace"],
)  # fmt: skip
def test_hit_without_a_key(path, key):
    lacking = {name: value for name, value in HIT.items() if name != key}
    found = report(path, HIT, lacking, lacking)
    assert found.defects == (f"2 lines, first line 3: '{key}' is missing",)
    assert found.hits == 1


def test_bad_lines_are_counted_by_what_is_wrong(path):
    found = report(path, b"x", HIT, b"[]", b"y", HIT, b"{", {**HIT, "pid": -1})
    assert found.defects == (
        "3 lines, first line 2: not JSON",
        "line 4: not a JSON object",
        "line 8: `pid` is not a number from 0 to 2147483647",
    )
    assert "incomplete: line 4: not a JSON object" in report_table(found, "task", "", PLAIN)
    assert found.hits == 2


# --- a session that was killed


@pytest.mark.parametrize("length", [1, 10, 200, -1])
def test_last_line_that_was_cut(path, length):
    found = report(path, HIT, end=json.dumps(HIT).encode()[:length])
    assert found.defects == ("line 3: cut short, as when a session is killed",)
    assert found.hits == 1


def test_last_line_that_lacks_its_newline_alone(path):
    found = report(path, HIT, end=json.dumps(HIT).encode())
    assert (found.hits, found.defects) == (2, ())
    found = report(path, HIT, end=b"[]")
    assert (found.hits, found.defects) == (1, ("line 3: not a JSON object",))


def test_last_line_that_is_too_long(path):
    found = report(path, HIT, end=b"x" * (MAX_LINE + 5))
    assert (found.hits, found.defects) == (1, (f"line 3: longer than {MAX_LINE} bytes",))


# --- nothing that a terminal would obey, nothing that grows


def test_names_are_made_fit_for_a_terminal(path):
    evil = "\x1b[31mX\x07\n\u202e\ud800é\\x41"
    found = report(path, {**HIT, "comm": evil, "function": evil, "backtrace": [evil]})
    shown = r"\x1b[31mX\x07\n\u202e\ud800" + "é\\x41"
    assert found.rows[0].comm == shown
    name = r"\x1b[31mX\x07\n\u202e\ud800\xe9" + r"\\x41"
    assert found.paths == (((name, name), 1),)
    assert found.rows[0].hits == {name: 1}
    for by in ("task", "probe", "path"):
        text = report_table(found, by, "", PLAIN) + report_csv(found, by, "")
        text.encode()
        assert all(c.isprintable() or c == "\n" for c in text)


def test_names_and_paths_are_cut(path):
    found = report(path, {**HIT, "function": "f" * 500, "backtrace": ["g" * 500] * 500})
    (names, count), = found.paths  # fmt: skip
    assert (count, len(names), {len(name) for name in names}) == (1, 65, {128})


def test_all_functions_of_the_catalogue_are_counted_apart(path):
    found = report(path, *({**HIT, "function": probe.function} for probe in CATALOGUE))
    assert found.functions() == tuple(sorted({probe.function for probe in CATALOGUE}))


def test_functions_beyond_the_cap_are_counted_together(path, monkeypatch):
    monkeypatch.setattr(event_hits, "MAX_FUNCTIONS", 2)
    found = report(path, *({**HIT, "function": f"f{i % 5}"} for i in range(10)))
    assert found.rows[0].hits == {"f0": 2, "f1": 2, "(other functions)": 6}
    assert found.hits == 10


def test_paths_beyond_the_cap_are_counted_together(path, monkeypatch):
    monkeypatch.setattr(totals_module, "MAX_PATHS", 2)
    found = report(path, *({**HIT, "backtrace": [f"g{i}"]} for i in range(5)))
    assert found.paths == (
        ((SIGFRAME, "(other paths)"), 3), ((SIGFRAME, "g0"), 1), ((SIGFRAME, "g1"), 1),
    )  # fmt: skip
    assert found.rows[0].count == 5


def test_memory_does_not_grow_with_the_file(path):
    """16 MB of hits, and a line of 16 MB; the most that a line of MAX_LINE may take is 8 MB."""
    hit = {**HIT, "raw": "0" * 16_000}
    written(path, *[hit] * 1000, b"x" * (16 << 20), HIT)
    found, most = peak(lambda: report_of_file(path, lambda lines: None))
    assert found.hits == 1001
    assert most < 4 << 20


# --- the command line


def gdbfpu(*words):
    command = [sys.executable, "-m", "gdbfpu", "report", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_on_the_command_line(path, tmp_path):
    written(path, HIT, OTHER)
    done = gdbfpu("--from", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[4].split()[:6] == ["7", "30", "29", "Xorg", "yes", "1"]
    assert done.stdout.splitlines()[0] == (
        "Xorg took 1 of 2 hits, with AVX in use; "
        "2 tasks in hits.jsonl, 1 of them known to use the FPU; 2 hits; lazy switching"
    )
    out = tmp_path / "out"
    done = gdbfpu("--from", path, "--format", "json", "--sort", "name", "--out", out)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [task["comm"] for task in json.loads(out.read_text())["tasks"]] == ["intonly", "Xorg"]


def test_a_report_that_lacks_lines_is_no_success(path):
    written(path, HIT, b"{}")
    done = gdbfpu(path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1] == "incomplete: line 3: 'task' is missing"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give an event file, or --core FILE and --vmlinux FILE"),
        (["--core", "c"], "give an event file, or --core FILE and --vmlinux FILE"),
        (["--vmlinux", "v"], "give an event file, or --core FILE and --vmlinux FILE"),
        (["--from", "f", "--core", "c"], "--from and --core cannot be combined"),
        (["--vmlinux", "v", "--from", "f"], "--from and --vmlinux cannot be combined"),
        (["--vmcoreinfo", "v", "--from", "f"], "--from and --vmcoreinfo cannot be combined"),
    ],
)
def test_a_file_or_a_dump(words, said):
    done = gdbfpu(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"gdbfpu: {said}; see `gdbfpu report --help`\n"
