# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that lies: an error line or a defect in the report, no traceback, and the program runs.

The program itself does not read what is torn here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gdb_harness import events, gdb, hit_lines, probe_breakpoints, started, trace

REFUSED = {  # what is torn before `fpu-trace on`: how it is refused
    "xstate_size = 100000": "xstate size is 100000 bytes, which is impossible",
    "xstate_size = 511": "xstate size is 511 bytes, which is impossible",
    "xstate_size = 0": "xstate size is 0 bytes, which is impossible",
    "nr_cpu_ids = 0": "nr_cpu_ids is 0",
    "nr_cpu_ids = 0x80000000": "nr_cpu_ids is 2147483648",
    "current_task = 0": "cannot read 1140 bytes at 0x",
}
WALKS = {  # what is torn: how many tasks the report still counts, and how it names the place
    "tasks[3].tasks.next = &tasks[2].tasks": (5, r"loops at 0x[0-9a-f]+"),
    "tasks[3].tasks.next = 0": (5, r"cannot read \d+ bytes at 0xffff[0-9a-f]+"),
    "tasks[3].tasks.next = 0x7ff000000000": (5, r"cannot read \d+ bytes at 0x7fe[0-9a-f]+"),
    "tasks[3].signal = 0": (5, r"the list of threads of the task at 0x[0-9a-f]+"),
    "tasks[3].signal = 0xdead000000000100": (5, r"the list of threads of the task at 0x[0-9a-f]+"),
    "tasks[9].thread_node.next = 0": (11, r"cannot read \d+ bytes at 0xffff[0-9a-f]+"),
    "tasks[9].thread_node.next = &tasks[9].thread_node": (11, r"loops at 0x[0-9a-f]+"),
    "tasks[9].thread_node.next = &tasks[3].thread_node": (11, r"(loops at|the threads of) .*0x"),
    "init_task.tasks.next = 0": (1, r"cannot read \d+ bytes at 0xffff[0-9a-f]+"),
}


def test_what_cannot_be_is_refused(kernel44: Path) -> None:
    commands = []
    for place in REFUSED:
        variable = place.split(" = ")[0]
        commands += [f"set $kept = {variable}", f"set var {place}", "fpu-trace on"]
        commands += [f"set var {variable} = $kept"]
    output = trace(kernel44, *commands, "fpu-trace on", "continue")
    for number, words in enumerate(REFUSED.values()):
        part = output.parts[4 * number + 2]
        assert part.startswith("fpu-trace: ") and "\n" not in part
        assert words in part
    assert len(hit_lines(output.parts[-2])) == 24
    assert "wrong=0" in output.parts[-2]


def test_a_stopped_thread_that_is_no_cpu(kernel44: Path) -> None:
    output = trace(kernel44, "set var __per_cpu_offset[0] = 77", "fpu-trace on", "continue")
    assert (
        output.parts[1]
        == "fpu-trace: gs_base matches no CPU: does vmlinux match the running kernel?"
    )
    assert hit_lines(output.parts[2]) == []
    assert "exited normally" in output.parts[2]


def test_a_torn_list_ends_the_walk(kernel44: Path) -> None:
    commands = []
    for place in WALKS:
        variable = place.split(" = ")[0]
        commands += [f"set $kept = {variable}", f"set var {place}", "fpu-report"]
        commands += [f"set var {variable} = $kept"]
    output = trace(kernel44, *commands, "fpu-report", "continue")
    for number, (place, (tasks, words)) in enumerate(WALKS.items()):
        part = output.parts[4 * number + 2]
        assert re.search(rf" of {tasks} tasks? uses? the FPU", part), (place, part)
        last = part.splitlines()[-1]
        assert re.match(f"incomplete: the remaining tasks could not be read: .*{words}", last), (
            place
        )
    assert "9 of 13 tasks use the FPU" in output.parts[-3]
    assert "incomplete" not in output.parts[-3]
    assert "wrong=0" in output.parts[-2]


def test_tables_that_lie_are_survived(kernel44: Path) -> None:
    """Offsets outside of the image leave the component out; an unknown feature bit has a name."""
    output = trace(
        kernel44, "set var xstate_offsets[2] = 4000000000", "set var xfeatures_mask = -1",
        "set var tasks[2].thread.fpu.state.xsave.header.xfeatures = 0x4000000000000405",
        "fpu-report", "fpu-trace on --limit 1", "continue", arguments="lazy loop 2 10",
    )  # fmt: skip
    assert "9 of 13 tasks use the FPU" in output.parts[3]
    assert hit_lines(output.parts[5].replace("bit 62", "bit62"))[0][6] == "x87|AVX|PASID|bit62"


def test_a_hit_that_cannot_be_read_stops_nothing(kernel44: Path) -> None:
    """current_task is torn for 5 deliveries of 15: 10 hits go unrecorded, and are counted."""
    output = trace(
        kernel44, "break finished", "fpu-trace on", "continue", "fpu-trace status", "fpu-report",
        "continue", arguments="lazy torn",
    )  # fmt: skip
    lines = hit_lines(output.parts[2])
    assert [line[0] for line in lines] == [str(n) for n in range(1, 21)]
    assert "Breakpoint 2, finished" in output.parts[2]
    status = output.parts[3].splitlines()
    assert status[0] == "tracing is on; 20 hits of 1 task, 0 filtered out; layouts from DWARF"
    assert all(line.endswith("passed 15 times") for line in status[1:3])
    assert re.fullmatch(r"  not recorded: 10 times MemoryFault: cannot read .*", status[3])
    assert re.search(r"incomplete: 10 hits not recorded: MemoryFault", output.parts[4])
    assert "guest: copies=15 sanitized=15 wrong=0" in output.parts[5]


@pytest.mark.parametrize(
    "failure",
    ["gdb.error('made to fail\\nin two lines')", "ZeroDivisionError('made to fail')",
     "SystemExit('made to fail')", "OSError(28, 'made to fail')"],
)  # fmt: skip
def test_any_failure_in_stop_is_counted(kernel44: Path, failure: str) -> None:
    """Reading memory fails in stop() with whatever exception: the program runs to its end."""
    output = trace(
        kernel44,
        "break finished",
        "fpu-trace on",
        "python from gdbfpu.dbg.target import GdbTarget as T; T.kept = T.read_memory",
        f"python T.read_memory = lambda *_: (_ for _ in ()).throw({failure})",
        "continue",
        "fpu-trace status",
        "python T.read_memory = T.kept",
        "fpu-trace off",
        "continue",
    )
    assert hit_lines(output.parts[4]) == []
    assert "Breakpoint 2, finished" in output.parts[4]
    status = output.parts[5].splitlines()
    assert status[0] == "tracing is on; 0 hits of 0 tasks, 0 filtered out; layouts from DWARF"
    assert len(status) == 4
    assert re.match(r"  not recorded: 24 times .*made to fail", status[3])
    assert "guest: copies=16 sanitized=8 wrong=0" in output.parts[8]


# A limit on the size of GDB's files behaves like a disk that gets full.
FULL = (
    "python import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, resource.RLIM_INFINITY))"
)


def test_a_full_disk_stops_nothing(kernel44: Path, tmp_path: Path) -> None:
    """The event file ends with a whole line, the trace goes on, and `off` works."""
    out = tmp_path / "events"
    output = trace(
        kernel44, "break finished", "set pagination on", f"fpu-trace on --out {out}",
        FULL.format(5000), "continue", "fpu-trace status", "fpu-trace off", "show pagination",
        "fpu-trace off", "continue",
    )  # fmt: skip
    written = len(events(out)[1])
    assert 0 < written < 24
    assert 4000 < out.stat().st_size <= 5000
    assert "the trace goes on without this file" in output.parts[4]
    assert len(hit_lines(output.parts[4])) == 24
    status = output.parts[5].splitlines()
    assert status[0] == "tracing is on; 24 hits of 4 tasks, 0 filtered out; layouts from DWARF"
    assert status[3:] == [
        f"  not recorded: 1 time {out} ends before hit {written + 1}: File too large"
    ]
    assert output.parts[6] == "fpu-trace: off; 24 hits so far"
    assert output.parts[7] == "State of pagination is on."
    assert output.parts[8] == "fpu-trace: tracing is off; no probe is in the kernel"
    assert "wrong=0" in output.parts[9]


def test_no_room_for_the_header(kernel44: Path, tmp_path: Path) -> None:
    out = tmp_path / "events"
    output = trace(
        kernel44, FULL.format(10), f"fpu-trace on --out {out}", "maint info breakpoints",
        "fpu-trace status",
    )  # fmt: skip
    assert output.parts[1] == f"fpu-trace: cannot write {out}: File too large"
    assert not out.exists()
    assert probe_breakpoints(output.parts[2]) == []
    assert output.parts[3].startswith("tracing is off")


def test_a_probe_that_cannot_be_planted(kernel44: Path, tmp_path: Path) -> None:
    """The second of two fails: the first is taken out again and no file is left."""
    out = tmp_path / "events"
    output = trace(
        kernel44,
        "python from gdbfpu.dbg.target import GdbTarget as T; T.kept = T.function_code; T.made = 0",
        "python def f(t, a): T.made += 1; return T.kept(t, a if T.made % 2 else 16)",
        "python T.function_code = f",
        f"fpu-trace on --out {out}",
        "maint info breakpoints",
        "fpu-trace off",
        "continue",
    )
    assert re.fullmatch(r"fpu-trace: cannot read \d+ bytes at 0x10", output.parts[3])
    assert probe_breakpoints(output.parts[4]) == []
    assert output.parts[5] == "fpu-trace: tracing is off; no probe is in the kernel"
    assert not out.exists()
    assert hit_lines(output.parts[6]) == []


def test_a_register_that_cannot_be_written(kernel44: Path) -> None:
    """The resume fails: it is counted, and GDB's own step over the breakpoint goes on."""
    output = gdb(
        *started(kernel44),
        "fpu-trace on --quiet",
        "python from gdbfpu.dbg.target import GdbTarget as T",
        "python T.write_register = lambda *_: (_ for _ in ()).throw(gdb.error('no such luck'))",
        "break finished",
        "continue",
        "fpu-trace status",
        "continue",
    )
    assert "24 hits of 4 tasks" in output.parts[9]
    assert "not recorded: 24 times error: no such luck" in output.parts[9]
    assert "wrong=0" in output.parts[10]
