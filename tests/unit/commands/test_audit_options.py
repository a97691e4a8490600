# SPDX-License-Identifier: GPL-2.0-or-later
"""The parser of fpu-audit: what it takes, what it refuses, what can be completed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbfpu.audit.inject import FRAME_WRITES, WRITES
from gdbfpu.commands.audit_options import AuditOptions, audit_parser
from gdbfpu.commands.completion import complete
from gdbfpu.commands.parser import HelpShown
from gdbfpu.errors import UsageError

DEFAULTS = {
    "task": "current",
    "comm": "",
    "all": False,
    "map": False,
    "reveal": False,
    "format": "table",
    "out": None,
    "fail": False,
    "sigframe": None,
    "inject": "",
    "laboratory": False,
    "from_cpu": False,
}


DUMP = ["--core", "c", "--vmlinux", "v"]


def understood(*words):
    return asdict(audit_parser().parse(words))


def test_by_default():
    assert understood() == DEFAULTS


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        (["31"], {"task": "31"}),
        (["--comm", "X*"], {"comm": "X*"}),
        (["--all", "--reveal"], {"all": True, "reveal": True}),
        (["--map", "31"], {"map": True, "task": "31"}),
        (["--format", "sarif", "--out", "f"], {"format": "sarif", "out": Path("f")}),
        (["--format=json"], {"format": "json"}),
        (["--sigframe"], {"sigframe": ""}),
        (["--sigframe", "0x10"], {"sigframe": "0x10"}),
        (["--all", "--fail"], {"all": True, "fail": True}),
        (["--inject", "STALE", "--laboratory"], {"inject": "STALE", "laboratory": True}),
        (["--from-cpu", "--all"], {"from_cpu": True, "all": True}),
        (["--from-cpu", "--comm", "X*", "--fail"], {"from_cpu": True, "comm": "X*", "fail": True}),
    ],
)
def test_what_it_takes(words, changed):
    assert understood(*words) == {**DEFAULTS, **changed}


@pytest.mark.parametrize(
    "words",
    [
        ["31", "--all"],
        ["31", "--comm", "x"],
        ["--comm", "x", "--all"],
        ["--map", "--all"],
        ["--map", "--inject", "STALE", "--laboratory"],
        ["--map", "--sigframe"],
        ["--sigframe", "0x10", "--all"],
        ["--sigframe", "0x10", "--comm", "x"],
        ["31", "--sigframe", "0x10"],
        ["--from-cpu", "--map"],
        ["--from-cpu", "--sigframe"],
        ["--inject", "STALE", "--laboratory", "--from-cpu"],
        ["--from-cpu=on"],
        ["--format", "csv"],
        ["--format"],
        ["--inject"],
        ["--out"],
        ["--no-such"],
        ["31", "32"],
    ],
)
def test_what_it_refuses(words):
    with pytest.raises(UsageError) as refused:
        audit_parser().parse(words)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [["--sigframe"], ["--inject", "STALE"], ["--laboratory"], ["--from-cpu"]],
    ids=lambda words: words[0],
)
def test_a_dump_cannot_be_written_and_has_no_stopped_cpu(words):
    with pytest.raises(UsageError):
        audit_parser(False).parse([*words, *DUMP])
    assert audit_parser(False).parse(DUMP) == AuditOptions()


def test_help_has_every_option():
    with pytest.raises(HelpShown) as shown:
        audit_parser().parse(["--help"])
    for name in DEFAULTS:
        assert name in ("task",) or f"--{name.replace('_', '-')}" in str(shown.value)


def test_what_can_be_completed():
    parser = audit_parser()
    assert set(complete(parser, "--inject ")) == {*WRITES, *FRAME_WRITES}
    assert complete(parser, "--inject XC") == ("XCOMP", "XCOMP2")
    assert sorted(complete(parser, "--format ")) == ["json", "sarif", "table"]
    assert complete(parser, "--la") == ("--laboratory",)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.sampled_from(["--map", "--all", "--inject", "x", "--sigframe", "-"]),
                          st.text(max_size=5)), max_size=4))  # fmt: skip
def test_no_words_raise_anything_else(words):
    with suppress(UsageError, HelpShown):
        audit_parser().parse(words)
