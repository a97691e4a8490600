# SPDX-License-Identifier: GPL-2.0-or-later
"""What the trial of a kernel takes for wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qemu.guest.patterns import PATTERNS
from qemu.kernels import Kernel
from tests.vm import matrix, trial
from tests.vm.trial import COMPLAINT, Outcome

_SAID = [
    "guest: ymmall pid=9 signals=3 ok",
    "guest: intonly pid=8 signals=2 ok",
    "guest: avxthreads pid=7 tgid=6 thread=1 signals=4 ok",
    "guest: forkexec pid=5 generations=25 signals=25 ok",
    "guest: ptracer pid=4 getfpregs=3 setfpregs=3 getregset=6 setregset=6 child=3 ok",
]


@pytest.fixture
def outcome() -> Outcome:
    return Outcome(Kernel("k", Path("vmlinux"), Path("bzImage"), "9.8"), "max", "qemu")


def _hits(**counts: int) -> list[dict[str, object]]:
    return [
        {"function": trial.SAVE, "pid": int(key[1:]), "comm": "forkexec" if key == "p100" else "x"}
        for key, count in counts.items()
        for _ in range(count)
    ]


def test_every_announced_signal_is_wanted_once(outcome):
    trial.judge_hits(outcome, _SAID, _hits(p9=3, p8=2, p7=4, p100=25), lazy=False)
    assert (outcome.hits, outcome.problems) == ("34 of 34", [])


def test_integer_task_has_no_hit_under_lazy_switching(outcome):
    trial.judge_hits(outcome, _SAID, _hits(p9=3, p7=4, p100=25), lazy=True)
    assert (outcome.hits, outcome.problems) == ("32 of 32", [])


def test_lost_and_invented_hits_are_told_though_the_sum_is_right(outcome):
    trial.judge_hits(outcome, _SAID, _hits(p9=2, p8=3, p7=4, p100=25), lazy=False)
    assert outcome.hits == "34 of 34"
    assert outcome.problems == [
        "hits differ from the signals announced: 9: 2 of 3, 8: 3 of 2",
    ]


def test_hits_of_other_functions_do_not_count(outcome):
    hits = _hits(p9=3, p8=2, p7=4, p100=25)
    hits[0]["function"] = "fpstate_sanitize_xstate"
    trial.judge_hits(outcome, _SAID, hits, lazy=False)
    assert outcome.hits == "33 of 34"
    assert len(outcome.problems) == 1


def _report(**answers: bool | None) -> dict[str, object]:
    return {
        "tasks": [
            {"pid": int(key[1:]), "comm": "x", "uses_fpu": answer, "why": "seen", "hits": {}}
            for key, answer in answers.items()
        ]
    }


_ANNOUNCED = [
    "guest: ymmall pid=9 signals=3 ok",
    "guest: intonly pid=8 signals=2 ok",
    "guest: onereg pid=7 tgid=6 thread=1 signals=4 ok",
    "guest: onereg pid=5 tgid=6 thread=2 signals=4 ok",
    "guest: longago pid=4 signals=4 ok",
]


def test_right_answers_are_counted(outcome):
    report = _report(p9=True, p8=False, p7=False, p5=True, p4=None)
    trial.judge_users(outcome, _ANNOUNCED, report, lazy=False)
    assert (outcome.users, outcome.problems) == ("yes", [])
    assert outcome.answers == {"right": 4, "open": 1}


def test_wrong_answers_are_named(outcome):
    report = _report(p9=None, p8=True, p7=True, p5=False, p4=True)
    trial.judge_users(outcome, _ANNOUNCED, report, lazy=False)
    assert (outcome.users, outcome.answers["wrong"]) == ("no", 5)
    assert outcome.problems == [
        "the report is wrong: ymmall is ?: seen",
        "the report is wrong: intonly is yes: seen",
        "the report is wrong: onereg/1 is yes: seen",
        "the report is wrong: onereg/2 is no: seen",
        "the report is wrong: longago is yes: seen",
    ]


def test_under_lazy_switching_a_task_without_a_hit_is_in_no_row(outcome):
    trial.judge_users(outcome, _ANNOUNCED, _report(p9=True, p5=True, p4=True), lazy=True)
    assert outcome.problems == []
    trial.judge_users(outcome, _ANNOUNCED, _report(p9=True, p4=True), lazy=True)
    assert outcome.problems == ["the report is wrong: onereg/2 is missing: in no row"]


def test_every_generation_of_forkexec_is_a_user(outcome):
    row = {"pid": 77, "comm": "forkexec", "uses_fpu": None, "why": "seen", "hits": {"f": 1}}
    trial.judge_users(outcome, [], {"tasks": [row, {**row, "hits": {}}]}, lazy=False)
    assert outcome.problems == ["the report is wrong: a forkexec is not a user: seen"]


def test_answers_of_several_traces_add_up(outcome):
    answers = matrix.Answers()
    outcome.layouts = "eager, standard"
    outcome.answers.update(right=4, open=2)
    answers.note(outcome)
    outcome.answers.update(wrong=1)
    outcome.problems.append("one")
    answers.note(outcome)
    (row,) = answers.rows()
    assert row == [
        *("k", "9.8", "`max`", "qemu", "eager, standard", "1 of 2", "12 of 13", "4", "1")
    ]
    assert len(row) == len(matrix.ANSWERS_COLUMNS)


def test_a_program_has_to_end_well_in_each_run(outcome, tmp_path):
    said = [f"guest: {name} pid=1 signals=1 ok" for name in trial.PROGRAMS]
    trial.judge(outcome, [said, said[1:]], tmp_path)
    assert outcome.problems[0] == f"guest programs failed: {trial.PROGRAMS[0]}"


def test_hits_of_two_runs_add_up(outcome):
    said = [*_SAID, "guest: forkexec pid=15 generations=25 signals=25 ok"]
    trial.judge_hits(outcome, said, _hits(p9=3, p8=2, p7=4, p100=50), lazy=False)
    assert (outcome.hits, outcome.problems) == ("59 of 59", [])


def test_nothing_recorded_is_a_problem(outcome, tmp_path):
    said = [f"guest: {name} pid=1 signals=1 ok" for name in trial.PROGRAMS]
    trial.judge(outcome, [said], tmp_path)
    assert (outcome.hits, outcome.users) == ("no", "no")
    assert outcome.problems == ["no trace was recorded"]
    assert trial.judge_state(outcome, "@@state@\nnothing\n@@end@\n") == "no"
    assert outcome.problems[1:] == ["fpu-state showed no registers"]


@pytest.mark.parametrize(("flip", "right"), [(0, "yes"), (1, "no")])
def test_one_wrong_bit_of_the_state_is_seen(outcome, flip, right):
    shown = {name: bytearray(data) for name, data in PATTERNS["ymmall"].items()}
    shown["ymm15"][31] ^= flip
    entries = ", ".join(f'"{name}": {{"bytes": "{data.hex()}"}}' for name, data in shown.items())
    output = f'@@state@\n{{"registers": {{{entries}}}}}\n@@end@\n'
    assert trial.judge_state(outcome, output) == right
    assert len(outcome.problems) == flip


def test_complaints_are_told_from_information():
    output = (
        "fpu-trace: f at 0x1, on `nop`, resumed without a step\n"
        "fpu-trace: off; 347 hits so far\n"
        "fpu-trace: this kernel has no symbol f\n"
        "3 hits were not recorded\n"
        "Error while executing Python code.\n"
    )
    assert COMPLAINT.findall(output) == output.splitlines()[2:]


def test_a_table_has_a_row_for_a_kernel_that_was_not_had():
    rows = [["kgdb-4.4", "not had", *[""] * 7, "not tried"]]
    head, rule, row = matrix.table(rows).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|") == len(matrix.COLUMNS) + 1
    assert row.startswith("| kgdb-4.4 | not had | ")


@pytest.mark.parametrize(
    ("variable", "value"), [("CPU", "no-such-model"), ("KERNEL_TARBALL", "/nowhere/linux.tar.xz")]
)
def test_what_a_person_gave_in_vain_ends_the_matrix_in_one_line(
    monkeypatch, capsys, variable, value
):
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "argv", ["matrix", "kgdb-4.4"])
    assert matrix.main() == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"matrix: {variable}") and err.count("\n") == 1
