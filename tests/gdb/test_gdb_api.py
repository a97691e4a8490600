# SPDX-License-Identifier: GPL-2.0-or-later
"""gdbfpu in GDB's Python: docs/python.md's own example, and what a script may do besides."""

from __future__ import annotations

import json
import re
from pathlib import Path

from gdb_harness import ROOT, expected_hits, trace

PAGE = ROOT / "docs/python.md"


def _scripted(program: Path, folder: Path, script: str, *after: str, how: str = "lazy replay"):
    path = folder / "script.py"
    path.write_text(script)
    return trace(program, f"source {path}", *after, arguments=how)


def _last(part: str) -> str:
    """The last line; the program itself writes one when it ends, and GDB another."""
    return part.splitlines()[-1]


def test_the_example_of_the_page(kernel44: Path, tmp_path: Path) -> None:
    """It prints what the page says, and that is what the golden data have."""
    script, printed = re.findall(r"^```(?:python)?\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    output = _scripted(kernel44, tmp_path, script, "fpu-trace status")
    assert output.parts[0] == printed.rstrip("\n")
    assert output.parts[1].startswith("tracing is off; 3 hits of 1 task")
    xorg = [hit.function for hit in expected_hits() if hit.comm == "Xorg"][:3]
    assert re.findall(r" in (\w+), mxcsr 00001f80$", printed, re.M) == xorg


ALL = """
import gdbfpu, json
trace = gdbfpu.start_trace(gdbfpu.TraceOn(state="full", backtrace=2, quiet=True))
print(json.dumps([trace.on, len(trace.probes), *([h.seq, h.pid, h.function, h.thread, h.live,
    len(h.backtrace), h.raw is not None] for h in trace), trace.on, trace.lost]))
"""


def test_hits_until_the_program_ends(kernel44: Path, tmp_path: Path) -> None:
    """One `continue`, which says nothing by itself."""
    on, probes, *hits, still, lost = json.loads(_last(_scripted(kernel44, tmp_path, ALL).parts[0]))
    assert (on, probes, still, lost) == (True, 2, False, 0)
    expected = expected_hits()
    assert [hit[:4] for hit in hits] == [
        [n, e.pid, e.function, e.thread] for n, e in enumerate(expected, 1)
    ]
    assert [hit[4] for hit in hits] == [bool(e.golden["fpu"]["fpregs_active"]) for e in expected]
    assert all(hit[5:] == [2, True] for hit in hits)


AFTER_STOPS = """
import gdbfpu
trace = gdbfpu.start_trace(gdbfpu.TraceOn(quiet=True, stop=True))
print([hit.seq for hit in trace.hits()])
for _ in range(3):
    gdb.execute("continue", False, True)
print([hit.seq for hit in trace.hits()], [hit.seq for hit in trace.hits()])
one = next(iter(trace))
print(one.seq, trace.on)
trace.stop()
print(trace.on, [hit.seq for hit in trace])
again = gdbfpu.start_trace(gdbfpu.TraceOn(quiet=True, limit=2))
trace.stop()
print(trace.on, again.on, [hit.seq for hit in again])
"""


def test_hits_after_stops(kernel44: Path, tmp_path: Path) -> None:
    """Without the kernel running, each once; a trace ends its own probes only."""
    output = _scripted(kernel44, tmp_path, AFTER_STOPS)
    assert output.parts[0].splitlines() == [
        "[]", "[1, 2, 3] []", "4 True", "False []", "False True [1, 2]",
    ]  # fmt: skip


WRONG = """
import gdbfpu
from gdbfpu.errors import GdbFpuError
def tried(call, *arguments):
    try:
        print(call(*arguments))
    except GdbFpuError as error:
        print(error)
tried(gdbfpu.start_trace, gdbfpu.TraceOn(state="most"))
tried(gdbfpu.start_trace, gdbfpu.TraceOn(probes=("nope",)))
tried(gdbfpu.start_trace, gdbfpu.TraceOn(condition="1 +"))
tried(gdbfpu.read_state, 4711)
tried(gdbfpu.read_state, 2)
tried(gdbfpu.read_state, "current", "X*g")
trace = gdbfpu.start_trace()
tried(gdbfpu.start_trace)
print(hasattr(gdbfpu, "nonsense"), gdbfpu.read_state(comm="Xorg").task.pid)
"""


def test_errors_are_one_line(kernel44: Path, tmp_path: Path) -> None:
    output = _scripted(kernel44, tmp_path, WRONG, "maint info breakpoints")
    lines = output.parts[0].splitlines()
    assert lines[0] == "state: there is no 'most': choose from none, header, full"
    assert lines[1].startswith("no probe is called 'nope'; there are: ")
    assert lines[2].startswith("--if 1 +: ")
    assert lines[3] == "no task with pid 4711"
    assert lines[4] == "kthreadd (pid 2) is a kernel thread: it has no FPU state"
    assert lines[5].startswith("TaskState(task=Task(address=")
    assert lines[6] == "tracing is on already: say `fpu-trace off` first"
    assert lines[7] == "False 30"


def test_settings_do_not_count(kernel44: Path, tmp_path: Path) -> None:
    """A script does the same whatever the user has set."""
    script = "import gdbfpu\nprint(len(list(gdbfpu.start_trace(gdbfpu.TraceOn(quiet=True)))))\n"
    path = tmp_path / "script.py"
    path.write_text(script)
    output = trace(kernel44, "set fpu limit 3", "set fpu state none", f"source {path}")
    assert _last(output.parts[2]) == str(len(expected_hits()))
