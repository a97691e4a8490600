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


def test_wrong_users_are_named(outcome):
    tasks = [{"comm": name, "uses_fpu": name != "audiod"} for name in trial.USERS]
    trial.judge_users(outcome, {"tasks": [*tasks, {"comm": "intonly", "uses_fpu": True}]})
    assert outcome.users == "no"
    assert outcome.problems == ["the report is wrong about audiod, intonly"]


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
