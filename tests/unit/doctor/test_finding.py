# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings: in order, one line each where nothing is wrong, whatever a check does."""

from __future__ import annotations

import json

from gdbfpu.doctor.finding import examine, fine, limited, not_applicable, trouble, unknown
from gdbfpu.doctor.text import findings_json, findings_text, has_trouble
from gdbfpu.errors import GdbFpuError
from gdbfpu.text.screen import PLAIN, Screen

LONG = "word " * 40 + "end"


def answering(answer):
    return lambda _: answer


def raising(error):
    def check(_):
        raise error

    return check


def test_trouble_comes_first():
    checks = {
        "a": answering(fine("all right")),
        "b": answering(not_applicable("not here")),
        "c": answering(unknown("no look")),
        "d": answering(limited("not all")),
        "e": answering(trouble("broken", "mend it")),
    }
    found = examine(checks, None)
    assert [f.check for f in found] == ["e", "d", "c", "a", "b"]
    assert has_trouble(found)
    assert not has_trouble(found[1:])


def test_a_check_that_fails_does_not_keep_the_others_from_looking():
    checks = {
        "ours": raising(GdbFpuError("no kernel to look at")),
        "foreign": raising(RuntimeError("Cannot access memory\nat all")),
        "rest": answering(fine("all right")),
    }
    found = {f.check: f for f in examine(checks, None)}
    assert found["ours"].seen == "no kernel to look at"
    assert found["foreign"].seen == "RuntimeError: Cannot access memory"
    assert [f.verdict.value for f in found.values()] == ["cannot be told"] * 2 + ["ok"]


def test_the_patient_reaches_the_checks():
    found = examine({"who": lambda patient: fine(patient)}, "me")
    assert found[0].seen == "me"


def test_names_cannot_write_on_the_terminal():
    found = examine({"file": answering(trouble("\x1b[31m", "file a\nb"))}, None)
    assert found[0].seen == r"\x1b[31m"
    assert found[0].mend == (r"file a\nb",)


def test_text():
    checks = {
        "one": answering(fine("all right")),
        "two": answering(trouble(LONG, "x" * 100)),
        "three": answering(unknown("no kernel")),
        "four": answering(unknown("no kernel")),
        "five": answering(unknown("no file")),
    }
    lines = findings_text(examine(checks, None), PLAIN).splitlines()
    assert lines[0].startswith("trouble         two: word")
    assert "                  " + "x" * 100 in lines  # what is to be typed stays whole
    assert all(len(line) <= 80 for line in lines if "xxx" not in line)
    assert "cannot be told  three, four: no kernel" in lines
    assert "cannot be told  five: no file" in lines
    assert lines[-2:] == [
        "ok              one: all right",
        "5 checks: 1 trouble, 3 cannot be told, 1 ok",
    ]


def test_text_on_a_narrow_terminal():
    found = examine({"one": answering(fine(LONG))}, None)
    lines = findings_text(found, Screen(width=50)).splitlines()
    assert max(map(len, lines)) <= 50
    assert max(map(len, findings_text(found, Screen(width=200)).splitlines())) <= 80


def test_json():
    found = examine({"one": answering(trouble("broken", "mend", "it"))}, None)
    assert json.loads(findings_json(found, PLAIN)) == {
        "trouble": True,
        "findings": [
            {"check": "one", "verdict": "trouble", "seen": "broken", "mend": ["mend", "it"]}
        ],
    }
