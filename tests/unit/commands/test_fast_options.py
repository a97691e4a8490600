# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes with --fast, and the line about each option that does not."""

from __future__ import annotations

import pytest

from gdbfpu.commands.fast_options import recording_of
from gdbfpu.commands.trace_options import trace_parser
from gdbfpu.errors import UsageError
from gdbfpu.fast.options import Recording


def recording(*words):
    """What `fpu-trace on` with these words has the kernel do."""
    return recording_of(trace_parser().parse(["on", *words]))


def refused(*words):
    with pytest.raises(UsageError) as caught:
        recording(*words)
    return str(caught.value)


@pytest.mark.parametrize("words", [(), ("--state", "full", "--audit"), ("--stop", "--step")])
def test_a_stopping_trace(words):
    assert recording(*words) is None


@pytest.mark.parametrize("words", [("--rows", "64"), ("--lossy",), ("--rows", "64", "--lossy")])
def test_options_that_need_it(words):
    assert refused(*words) == "--rows and --lossy are for --fast"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--fast"], Recording(False, 4096)),
        (["--fast", "table"], Recording(False, 4096)),
        (["--fast", "auto"], Recording(False, 4096)),
        (["--fast", "ring"], Recording(True, 65536)),
        (["--fast", "ring", "--lossy"], Recording(True, 65536, lossy=True)),
        (["--fast", "ring", "--out", "f"], Recording(True, 65536)),
        (["--fast", "ring", "--limit", "5"], Recording(True, 65536)),
        (["--fast", "--limit", "5", "--rows", "16"], Recording(False, 16)),
        (["--fast", "--rows", "1048576"], Recording(False, 1 << 20)),
        (["--fast", "--rows", "0"], Recording(False, 4096)),
        (["--fast", "--pid", "1", "--comm", "X*", "--state", "none"], Recording(False, 4096)),
        (["--fast", "--backtrace", "0", "--quiet", "--group", "switch"], Recording(False, 4096)),
        (["--rows", "32", "--fast"], Recording(False, 32)),
    ],
)
def test_what_is_recorded(words, wanted):
    assert recording(*words) == wanted


NOT_TOGETHER = {
    "--state full": "--state full does not go with --fast: it records headers only; use --state "
    "header",
    "--audit": "--audit does not go with --fast: an audit needs a stop at each call; leave --fast "
    "out",
    "--backtrace 2": "--backtrace does not go with --fast: it records one caller; use --backtrace "
    "1",
    "--if 1": "--if does not go with --fast: GDB needs a stop to test it; use --pid or --comm",
    "--stop": "--stop does not go with --fast: it never stops at a hit; leave one of them out",
    "--step": "--step does not go with --fast: it never steps; leave one of them out",
    "--top": "--top does not go with --fast: hits are read when the kernel stops; use fpu-report",
}


@pytest.mark.parametrize("how", ["table", "ring", "auto"])
@pytest.mark.parametrize("option", NOT_TOGETHER)
def test_what_does_not_go_with_it(option, how):
    assert refused("--fast", how, *option.split()) == NOT_TOGETHER[option]
    assert recording(*option.split()) is None


@pytest.mark.parametrize("how", ["table", "auto"])
def test_a_table_has_no_hits_for_a_file(how):
    said = "--out needs each hit, and a table counts them: use --fast ring"
    assert refused("--fast", how, "--out", "f") == said


@pytest.mark.parametrize("words", [["table"], ["auto"], ["ring", "--limit", "5"]])
def test_where_nothing_may_be_lost(words):
    said = "--lossy is for --fast ring without a --limit"
    assert refused("--fast", *words, "--lossy") == said


@pytest.mark.parametrize("rows", [1, 8, 15, 17, 100, 4095, (1 << 20) + 1, 1 << 21, 10**40])
@pytest.mark.parametrize("how", ["table", "ring"])
def test_a_number_of_rows_that_is_none(rows, how):
    said = f"--rows {rows}: give a power of two from 16 to 1048576"
    assert refused("--fast", how, "--rows", str(rows)) == said
