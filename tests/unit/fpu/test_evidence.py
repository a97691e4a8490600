# SPDX-License-Identifier: GPL-2.0-or-later
"""The three answers, and what each rests on."""

from __future__ import annotations

import pytest

from gdbfpu.fpu.evidence import ENOUGH, Answer, Basis, Evidence, Observation

SSE, AVX = 2, 4


def after(*seen):
    evidence = Evidence()
    for one in seen:
        evidence = evidence.with_(one)
    return evidence


def initial(basis=Basis.FRAME, **more):
    return Observation(basis, 0, **more)


def test_nothing_seen_is_no_answer():
    assert (Evidence().answer, Evidence().why) == (Answer.UNKNOWN, "not seen yet")


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (Observation(Basis.FRAME, SSE | AVX, 3), "SSE|AVX values in the frame of hit 3"),
        (Observation(Basis.MEMORY, AVX, 2), "AVX values in memory at hit 2"),
        (Observation(Basis.MEMORY, AVX), "AVX values in memory"),
        (Observation(Basis.REGISTERS, SSE, 1), "SSE values in registers at hit 1"),
        (Observation(Basis.STATE, 1, 7, "fpstate_active"), "fpstate_active at hit 7"),
        (
            Observation(Basis.HEADER, AVX, 9),
            "AVX marked in use by the CPU in the header of hit 9",
        ),
    ],
)
def test_one_sight_of_use_is_yes(seen, why):
    evidence = after(seen)
    assert (evidence.answer, evidence.why) == (Answer.YES, why)


def test_yes_stays_whatever_is_seen_later():
    proof = Observation(Basis.FRAME, SSE, 1)
    later = (initial(), initial(), initial(), Observation(Basis.STATE, 0, flag="no state"))
    evidence = after(proof, *later, Observation(Basis.MEMORY, AVX, 9)).settle()
    assert (evidence.answer, evidence.proof) == (Answer.YES, proof)


def test_no_takes_several_states_of_which_none_was_a_handlers():
    evidence = after(*[initial()] * (ENOUGH - 1))
    assert (evidence.answer, evidence.wanting()) == (Answer.UNKNOWN, False)
    assert evidence.why == "initial in 2 frames"
    evidence = evidence.with_(initial(Basis.MEMORY))
    assert (evidence.answer, evidence.wanting()) == (Answer.UNKNOWN, True)
    evidence = evidence.settle()
    assert (evidence.answer, evidence.wanting()) == (Answer.NO, False)
    assert evidence.why == "initial in 2 frames and 1 memory image"


def test_states_that_may_be_a_handlers_count_for_nothing():
    evidence = after(*[initial(blocked=4)] * 2, initial(blocked=1))
    assert evidence.blocked == 5
    evidence = evidence.reject()
    assert (evidence.answer, evidence.why) == (
        Answer.UNKNOWN,
        "it may have been in a signal handler",
    )
    assert after(*[initial()] * 3).reject().with_(initial()).why == "initial in 1 frame"


def test_use_after_no_is_yes():
    evidence = after(*[initial()] * ENOUGH).settle().with_(Observation(Basis.FRAME, AVX, 16))
    assert (evidence.answer, evidence.why) == (Answer.YES, "AVX values in the frame of hit 16")


def test_the_same_state_in_memory_counts_once():
    evidence = after(*[initial(Basis.MEMORY, switches=7)] * 5)
    assert evidence.count == 1
    assert evidence.with_(initial(Basis.MEMORY, switches=8)).count == 2


@pytest.mark.parametrize(
    ("basis", "flag"), [(Basis.STATE, "no fpstate_active"), (Basis.KERNEL, "a kernel thread")]
)
def test_a_task_without_a_state_does_not(basis, flag):
    evidence = after(Observation(basis, 0, flag=flag))
    assert (evidence.answer, evidence.why) == (Answer.NO, flag)
    evidence = evidence.with_(Observation(Basis.STATE, 1, flag="fpstate_active"))
    assert (evidence.answer, evidence.why) == (Answer.YES, "fpstate_active")


def test_answers_in_json():
    assert [answer.to_json() for answer in Answer] == [True, False, None]
