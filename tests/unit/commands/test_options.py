# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands' parsers: every wrong input is one line, every word can be completed."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbfpu.commands.audit_options import audit_parser
from gdbfpu.commands.completion import complete
from gdbfpu.commands.doctor_options import DoctorOptions, ShellDoctorOptions, doctor_parser
from gdbfpu.commands.info_options import InfoOptions, info_parser
from gdbfpu.commands.parser import HelpShown
from gdbfpu.commands.report_options import ReportOptions, report_parser
from gdbfpu.commands.state_options import StateOptions, state_parser
from gdbfpu.commands.trace_options import (
    TraceClear,
    TraceOff,
    TraceOn,
    TraceProbes,
    TraceStatus,
    trace_parser,
)
from gdbfpu.errors import UsageError

PARSERS = {
    "fpu-trace": trace_parser,
    "fpu-report": report_parser,
    "fpu-info": info_parser,
    "fpu-state": state_parser,
    "fpu-doctor": doctor_parser,
}


def trace(*words):
    return trace_parser().parse(words)


def report(*words):
    return report_parser().parse(words)


# --- what is understood


def test_trace_on_by_default():
    assert trace("on") == TraceOn(
        probes=(),
        groups=(),
        pids=(),
        comms=(),
        state="header",
        backtrace=1,
        limit=0,
        quiet=False,
        audit=False,
        out=None,
    )


def test_trace_on_with_everything():
    words = (
        "on --probe copy_fpstate_to_sigframe --probe no_such --pid 5 --pid 0x10 --comm X* "
        "--group signal --group xfd --comm a --state full --backtrace 4 --limit 100 --quiet "
        "--audit --out /tmp/f"
    )
    assert trace(*words.split()) == TraceOn(
        probes=("copy_fpstate_to_sigframe", "no_such"),
        pids=(5, 16),
        groups=("signal", "xfd"),
        comms=("X*", "a"),
        state="full",
        backtrace=4,
        limit=100,
        quiet=True,
        audit=True,
        out=Path("/tmp/f"),
    )
    assert trace("on", "--limit=7", "--state=none").limit == 7


def test_a_table_and_a_stop_at_each_hit_contradict_one_another():
    assert trace("on", "--top", "--quiet").top
    with pytest.raises(UsageError) as caught:
        trace("on", "--stop", "--top")
    message = "--top and --stop cannot be combined; see `fpu-trace on --help`"
    assert str(caught.value) == message


def test_parsers_share_nothing_between_uses():
    parser = trace_parser()
    assert parser.parse(["on", "--pid", "1"]).pids == (1,)
    assert parser.parse(["on"]).pids == ()
    assert trace("on", "--pid", "2").pids == (2,)


def test_probes_of_a_group():
    assert trace("probes") == TraceProbes(())
    assert trace("probes", "--group", "ptrace") == TraceProbes(("ptrace",))


@pytest.mark.parametrize(
    ("verb", "options"), [("off", TraceOff()), ("status", TraceStatus()), ("clear", TraceClear())]
)
def test_verbs_without_options(verb, options):
    assert trace(verb) == options


def test_report_options():
    assert report() == ReportOptions(events=None, by="task", sort="", format="table", out=None)
    words = "--from e --by path --sort pid --format csv --out f"
    assert report(*words.split()) == ReportOptions(
        events=Path("e"), by="path", sort="pid", format="csv", out=Path("f")
    )


def test_files_are_found_at_home(monkeypatch):
    """GDB leaves `~` to its commands."""
    monkeypatch.setenv("HOME", "/home/me")
    found = report("--from", "~/events", "--out", "~/report")
    assert (found.events, found.out) == (Path("/home/me/events"), Path("/home/me/report"))
    assert trace("on", "--out", "~/events").out == Path("/home/me/events")


def test_doctor_options():
    assert doctor_parser().parse([]) == DoctorOptions(format="table")
    parser = doctor_parser(stopped=False)
    assert parser.parse([]) == ShellDoctorOptions(None, None, None, "table")
    words = "v --baud 9600 --device /dev/ttyS0 --format json"
    assert parser.parse(words.split()) == ShellDoctorOptions(
        Path("v"), 9600, Path("/dev/ttyS0"), "json"
    )


def test_info_options():
    assert info_parser().parse([]) == InfoOptions(format="table")
    assert info_parser().parse(["--format", "json"]) == InfoOptions(format="json")
    assert info_parser().parse(["--from-cpu"]) == InfoOptions(format="table", from_cpu=True)


DUMP = ("--core", "c", "--vmlinux", "v")


@pytest.mark.parametrize("maker", [info_parser, state_parser, audit_parser])
def test_a_dump_has_no_cpu_to_ask(maker):
    assert maker(stopped=False).parse(DUMP).from_cpu is False
    with pytest.raises(UsageError):
        maker(stopped=False).parse([*DUMP, "--from-cpu"])


@pytest.mark.parametrize("maker", [info_parser, state_parser, audit_parser])
def test_whether_a_cpu_is_asked_has_a_default(maker):
    """`set fpu from-cpu on` changes it."""
    parser = maker()
    assert parser.parse([]).from_cpu is False
    assert "put back (default: off)" in " ".join(parser.format_help().split())
    parser.set_defaults(from_cpu=True)
    assert parser.parse([]).from_cpu is True
    assert "put back (default: on)" in " ".join(parser.format_help().split())


def test_a_default_does_not_contradict_an_option():
    state, audit = state_parser(), audit_parser()
    state.set_defaults(from_cpu=True)
    audit.set_defaults(from_cpu=True)
    assert state.parse(["--raw"]).raw
    assert state.parse(["--sigframe"]).sigframe == ""
    assert audit.parse(["--map"]).map
    assert audit.parse(["--inject", "STALE"]).inject == "STALE"


STATE = StateOptions(
    task="current", comm="", components=(), raw=False, format="table", diff="", sigframe=None
)


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("", {}),
        ("current", {}),
        ("current --comm X*", {"comm": "X*"}),
        ("12 --diff 13 --format json", {"task": "12", "diff": "13", "format": "json"}),
        ("12 --raw --component x87", {"task": "12", "raw": True, "components": ("x87",)}),
        ("--raw --format table", {"raw": True}),
        ("--from-cpu", {"from_cpu": True}),
        (
            "--from-cpu --diff 5 --component SSE",
            {"from_cpu": True, "diff": "5", "components": ("SSE",)},
        ),
        ("--comm a --diff 1", {"comm": "a", "diff": "1"}),
        ("--comm a --raw", {"comm": "a", "raw": True}),
        ("--sigframe", {"sigframe": ""}),
        ("--sigframe 0x5 --format json", {"sigframe": "0x5", "format": "json"}),
        ("--sigframe --component SSE", {"sigframe": "", "components": ("SSE",)}),
    ],
)
def test_state_options(line, given):
    assert state_parser().parse(line.split()) == replace(STATE, **given)


@pytest.mark.parametrize(
    ("line", "one", "other"),
    [
        ("--raw --format json", "--raw", "--format json"),
        ("5 --format json --raw", "--raw", "--format json"),
        ("--diff 1 --raw", "--diff", "--raw"),
        ("--raw --diff=1", "--diff", "--raw"),
        ("5 --comm x", "PID or ADDRESS", "--comm"),
        ("--comm x 0xffff888000000000", "PID or ADDRESS", "--comm"),
        ("--sigframe --raw", "--sigframe", "--raw"),
        ("--sigframe 0x5 --diff 1", "--sigframe", "--diff"),
        ("5 --sigframe", "--sigframe", "PID or ADDRESS"),
        ("--sigframe 0x5 7", "--sigframe", "PID or ADDRESS"),
        ("--sigframe --comm a", "--sigframe", "--comm"),
        ("--sigframe --from-cpu", "--sigframe", "--from-cpu"),
        ("--from-cpu --raw", "--raw", "--from-cpu"),
    ],
)
def test_state_options_that_contradict_one_another(line, one, other):
    with pytest.raises(UsageError) as caught:
        state_parser().parse(line.split())
    message = f"{one} and {other} cannot be combined; see `fpu-state --help`"
    assert str(caught.value) == message


# --- what is not


@pytest.mark.parametrize(
    ("command", "line", "said"),
    [
        ("fpu-trace", "", "on|off|status|clear|probes"),
        (
            "fpu-trace",
            "start",
            "there is no 'start': did you mean `status`? choose from on, probes, off",
        ),
        ("fpu-trace", "onn", "there is no 'onn': did you mean `on`?"),
        ("fpu-trace", "on --group sig", "--group: there is no 'sig': did you mean `signal`?"),
        ("fpu-trace", "o", "'o'"),
        ("fpu-trace", "on off", "off"),
        ("fpu-trace", "off --pid 1", "--pid"),
        ("fpu-trace", "on --pidd 1", "--pidd"),
        ("fpu-trace", "on --li 1", "--li"),
        ("fpu-trace", "on --pid", "--pid"),
        ("fpu-trace", "on --pid x", "--pid: invalid number value: 'x'"),
        ("fpu-trace", "on --pid -1", "'-1' is not a number of at least 0"),
        ("fpu-trace", "on --limit 1.5", "--limit: invalid number value: '1.5'"),
        ("fpu-trace", "on --limit=", "--limit: '' is not a number of at least 0"),
        ("fpu-trace", "on --backtrace -7", "--backtrace"),
        ("fpu-trace", "on --backtrace 010", "'010'"),
        ("fpu-trace", "on --state all", "--state: there is no 'all'"),
        ("fpu-trace", "on --quiet=yes", "--quiet"),
        ("fpu-report", "--by cpu", "--by: there is no 'cpu'"),
        ("fpu-report", "--sort size", "--sort: there is no 'size'"),
        ("fpu-report", "--format xml", "--format: there is no 'xml'"),
        ("fpu-report", "task", "task"),
        ("fpu-report", "--out", "--out"),
        ("fpu-info", "--format csv", "--format: there is no 'csv'"),
        ("fpu-info", "1", "1"),
        ("fpu-state", "1 2", "2"),
        ("fpu-state", "--format csv", "--format: there is no 'csv'"),
        ("fpu-state", "--wrong", "--wrong"),
    ],
)
def test_wrong_input_is_one_line_that_says_what(command, line, said, capsys):
    with pytest.raises(UsageError) as caught:
        PARSERS[command]().parse(line.split())
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert f"see `{command}" in message
    assert message.endswith("--help`")
    assert capsys.readouterr() == ("", "")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(PARSERS)),
    st.lists(
        st.one_of(
            st.sampled_from(
                ["on", "off", "--pid", "--limit", "--state", "--by", "--sort", "--out", "-h", "--"]
            ),
            st.text(st.sampled_from("-=ahop1x.é'\"{}%$"), max_size=5),
        ),
        max_size=4,
    ),
)
def test_no_input_does_anything_else(command, words):
    try:
        PARSERS[command]().parse(words)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1
    except HelpShown:
        assert {"-h", "--help"} & set(words)


# --- help


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", PARSERS)
def test_help_is_raised_not_printed(command, flag, capsys):
    with pytest.raises(HelpShown) as caught:
        PARSERS[command]().parse([flag])
    text = str(caught.value)
    assert text.startswith(f"usage: {command}")
    assert text == text.rstrip()
    assert capsys.readouterr() == ("", "")


def test_help_of_a_verb_has_its_options():
    with pytest.raises(HelpShown) as caught:
        trace_parser().parse(["on", "--help"])
    for option in ("--probe", "--pid", "--comm", "--state", "--backtrace", "--limit", "--out"):
        assert option in str(caught.value)
    with pytest.raises(HelpShown, match="usage: fpu-trace off"):
        trace_parser().parse(["off", "-h"])


def test_help_shows_the_default_in_force():
    """As GDB shows its own settings: a flag is on or off."""
    on = trace_parser().verbs["on"]
    assert "not print a line for each hit (default: off)" in " ".join(on.format_help().split())
    on.set_defaults(quiet=True, limit=7)
    shown = " ".join(on.format_help().split())
    assert "not print a line for each hit (default: on)" in shown
    assert "0 for no limit (default: 7)" in shown
    assert on.parse([]) == TraceOn(quiet=True, limit=7)
    assert on.parse(["--no-quiet", "--limit", "0"]) == TraceOn()


@pytest.mark.parametrize(
    ("columns", "widest"), [("50", 48), ("120", 118), ("0", 78), ("wide", 78), ("", 78)]
)
def test_help_fits_the_terminal(monkeypatch, columns, widest):
    """COLUMNS comes first, then the terminal, of which a test has none."""
    monkeypatch.setenv("COLUMNS", columns)
    lines = trace_parser().verbs["on"].format_help().splitlines()
    lines = [line for line in lines if "signal,switch" not in line]  # one word
    assert widest - 12 < max(map(len, lines)) <= widest


@pytest.mark.parametrize("command", PARSERS)
def test_every_option_has_help(command):
    parser = PARSERS[command]()
    parsers = [parser, *(complete_verbs(parser))]
    assert all(action.help for each in parsers for action in each._actions if action.dest != "verb")


@pytest.mark.parametrize("command", PARSERS)
def test_every_option_has_a_field(command):
    """And every field an option: nothing that was given is forgotten."""
    parser = PARSERS[command]()
    for each in complete_verbs(parser) or [parser]:
        named = {action.dest for action in each._actions} - {"help"}
        assert named == {field.name for field in fields(each.get_default("options"))}


def complete_verbs(parser):
    return [
        verb
        for action in parser._actions
        if isinstance(action.choices, dict)
        for verb in action.choices.values()
    ]


# --- completion

ON = (
    *(
        "--audit",
        "--backtrace",
        "--comm",
        "--fast",
        "--group",
        "--help",
        "--if",
        "--limit",
        "--lossy",
        "--no-quiet",
        "--out",
        "--pid",
        "--probe",
        "--quiet",
        "--rows",
    ),
    "--state",
    "--step",
    "--stop",
    "--top",
)
PROBES = ("copy_fpstate_to_sigframe", "fpstate_sanitize_xstate")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("--help", "clear", "off", "on", "probes", "status")),
        ("o", ("off", "on")),
        ("st", ("status",)),
        ("x", ()),
        ("on", ("on",)),
        ("on ", ON),
        ("on --", ON),
        ("on --p", ("--pid", "--probe")),
        ("on --state ", ("full", "header", "none")),
        ("on --state h", ("header",)),
        ("on --state full ", ON),
        ("on --state full --l", ("--limit", "--lossy")),
        ("on --quiet ", ON),
        ("on --pid ", ()),
        ("on --comm o", ()),
        ("on --pid 5 --q", ("--quiet",)),
        ("off ", ("--help",)),
        ("off --p", ()),
    ],
)
def test_completion_of_fpu_trace(text, expected):
    assert complete(trace_parser(), text) == expected


def test_completion_of_probes():
    found = complete(trace_parser(), "on --probe ")
    assert set(PROBES) <= set(found)
    assert complete(trace_parser(), "on --probe copy_fps") == PROBES[:1]
    assert complete(trace_parser(), "on --quiet --probe fpstate_s") == PROBES[1:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("--by", "--format", "--from", "--help", "--out", "--sort", "--why")),
        ("--by ", ("path", "probe", "task")),
        ("--by p", ("path", "probe")),
        ("--format c", ("csv",)),
        (
            "--sort ",
            (
                *(
                    "components",
                    "cpu",
                    "findings",
                    "first",
                    "hits",
                    "last",
                    "live",
                    "memory",
                    "name",
                ),
                *("pid", "tgid", "thread"),
            ),
        ),
        ("--sort pid --f", ("--format", "--from")),
        ("--out ", ()),
    ],
)
def test_completion_of_fpu_report(text, expected):
    assert complete(report_parser(), text) == expected


def test_completion_of_fpu_info():
    assert complete(info_parser(), "") == ("--format", "--from-cpu", "--help")
    assert complete(info_parser(), "--format ") == ("json", "table")


def test_completion_of_groups():
    assert complete(trace_parser(), "probes --group x") == ("xfd",)
    assert {"signal", "ptrace"} <= set(complete(trace_parser(), "on --group "))


def test_completion_of_fpu_state():
    assert "current" in complete(state_parser(), "c")
    assert complete(state_parser(), "--format ") == ("json", "table")
    components = complete(state_parser(), "--component ")
    assert {"x87", "SSE", "AVX", "PKRU"} <= set(components)
