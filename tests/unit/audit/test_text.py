# SPDX-License-Identifier: GPL-2.0-or-later
"""An audit as a table, as JSON and as SARIF; no byte of anybody's state without --reveal."""

from __future__ import annotations

import base64
import json
import os
import re

import jsonschema
import pytest
from audit_machines import ELSEWHERE, FEATURES, M44, M66, M510, SYMBOLS, frame, pattern

import gdbfpu
from gdbfpu.audit.engine import Audit
from gdbfpu.audit.finding import Finding, Severity, Undecided
from gdbfpu.audit.record import returned_json, returned_lines
from gdbfpu.audit.rules import RULES
from gdbfpu.audit.text import audit_json, audit_sarif, audit_table
from gdbfpu.audit.watch import Watch
from gdbfpu.commands.audit import audit_text, map_text, run_audit
from gdbfpu.commands.audit_options import audit_parser
from gdbfpu.commands.output import standard_output
from gdbfpu.errors import UsageError
from gdbfpu.kernel.tasks import Task
from gdbfpu.probes.catalogue import CATALOGUE
from gdbfpu.text.screen import PLAIN, Screen

PARSER = audit_parser()
TASK = Task(0xFFFF880000100000, 42, 42, "Xorg", False)
STALE = Finding(
    "STALE",
    Severity.ERROR,
    TASK,
    "3 of 256 bytes are not initial, from byte 600",
    0xFFFF880000100958,
    "NT_X86_XSTATE copies it to user space as it is",
    "AVX",
    b"\x01\x02\x03",
)
INIT = Finding(
    "INITBUF", Severity.WARNING, "init_fpstate", "fcw is 0x0", 0xFFFFFFFF81009000, "it is wrong"
)
UNSEEN = Undecided("MSR", "every CPU", "they are in CPUs")
SAID = Audit("Linux version 4.4.60", 7, (STALE, INIT), (UNSEEN,))


def arguments(*words):
    return PARSER.parse(list(words))


# --- tables


def test_table():
    assert audit_table(SAID, False, PLAIN) == (
        "error STALE: Xorg (pid 42), AVX, at 0xffff880000100958\n"
        "  3 of 256 bytes are not initial, from byte 600.\n"
        "  NT_X86_XSTATE copies it to user space as it is.\n"
        "  bytes: 3, not shown without --reveal\n"
        "\n"
        "warning INITBUF: init_fpstate, at 0xffffffff81009000\n"
        "  fcw is 0x0.\n"
        "  It is wrong.\n"
        "\n"
        "What memory alone cannot tell:\n"
        "  MSR: every CPU: they are in CPUs.\n"
        "fpu-audit: findings: 1 error, 1 warning, 0 notes in 7 tasks; 1 not decidable"
    )


@pytest.mark.parametrize(
    ("cpus", "shown"),
    [
        (1, "CPU 0"),
        (2, "CPU 0, CPU 1"),
        (4, "CPU 0, CPU 1, CPU 2, CPU 3"),
        (5, "CPU 0, CPU 1, CPU 2, CPU 3 and 1 more"),
        (128, "CPU 0, CPU 1, CPU 2, CPU 3 and 124 more"),
    ],
)
def test_what_is_undecided_of_many_is_said_once(cpus, shown):
    """In words; each counts."""
    hidden = [Undecided("MSR", f"CPU {cpu}", "they are in the CPU") for cpu in range(cpus)]
    other = Undecided("XFD1", "CPU 0", "they are in the CPU")
    said = Audit("", 1, (), (*hidden, other, UNSEEN))
    _, *lines, last = audit_table(said, False, PLAIN).splitlines()
    assert lines == [
        f"  MSR: {shown}: they are in the CPU.",
        "  XFD1: CPU 0: they are in the CPU.",
        "  MSR: every CPU: they are in CPUs.",
    ]
    assert last.endswith(f"; {cpus + 2} not decidable")


def test_table_of_nothing():
    said = Audit("Linux", 0, (), ())
    words = "fpu-audit: clean: 0 errors, 0 warnings, 0 notes in 0 tasks; 0 not decidable"
    assert audit_table(said, True, Screen(colour=True)) == words


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (3, "01 01 01"),
        (32, " ".join(["01"] * 32)),
        (33, " ".join(["01"] * 32) + " ..."),
    ],
)
def test_evidence_is_shown_to_who_asks(size, shown):
    said = Audit("", 1, (Finding("STALE", Severity.NOTE, TASK, "r", 1, "w", "", b"\1" * size),), ())
    assert f"\n  bytes: {shown}\n" in audit_table(said, True, PLAIN)
    assert f"\n  bytes: {size}, not shown without --reveal\n" in audit_table(said, False, PLAIN)


def test_long_sentences_are_wrapped():
    words = "byte " * 60
    said = Audit(
        "", 1, (Finding("X", Severity.NOTE, TASK, words, 1, words),), (Undecided("M", "a", words),)
    )
    lines = audit_table(said, False, PLAIN).splitlines()
    assert max(map(len, lines)) <= 100
    assert all(line.startswith("  ") for line in lines[1:4])


def test_colour_is_around_the_severity_only():
    coloured = audit_table(SAID, False, Screen(colour=True))
    assert coloured != audit_table(SAID, False, PLAIN)
    plain = re.sub("\x1b\\[[0-9;]*m", "", coloured)
    assert plain == audit_table(SAID, False, PLAIN)
    first = coloured.splitlines()[0]
    assert re.fullmatch("\x1b\\[31m.*error.*\x1b\\[39;49;00m STALE: Xorg .*", first)


@pytest.mark.parametrize(
    ("terminal", "no_colour", "out", "coloured"),
    [
        (True, None, [], True),
        (True, "", [], False),
        (True, "1", [], False),
        (False, None, [], False),
        (True, None, ["--out", "f"], False),
    ],
)
def test_colour_is_for_terminals(monkeypatch, terminal, no_colour, out, coloured):
    monkeypatch.setattr(os, "isatty", lambda descriptor: terminal and descriptor == 1)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_colour is not None:
        monkeypatch.setenv("NO_COLOR", no_colour)
    assert ("\x1b" in audit_text(SAID, arguments(*out), standard_output())) is coloured


# --- JSON


def test_json():
    assert audit_json(SAID, False) == {
        "kernel": "Linux version 4.4.60",
        "verdict": "findings",
        "tasks": 7,
        "findings": [
            {
                "rule": "STALE",
                "severity": "error",
                "subject": "Xorg (pid 42)",
                "pid": 42,
                "component": "AVX",
                "address": "0xffff880000100958",
                "read": "3 of 256 bytes are not initial, from byte 600",
                "why": "NT_X86_XSTATE copies it to user space as it is",
                "evidence": None,
            },
            {
                "rule": "INITBUF",
                "severity": "warning",
                "subject": "init_fpstate",
                "pid": None,
                "component": "",
                "address": "0xffffffff81009000",
                "read": "fcw is 0x0",
                "why": "it is wrong",
                "evidence": None,
            },
        ],
        "undecided": [{"rule": "MSR", "subject": "every CPU", "why": "they are in CPUs"}],
    }
    assert [f["evidence"] for f in audit_json(SAID, True)["findings"]] == ["010203", ""]


@pytest.mark.parametrize("reveal", [False, True])
def test_the_answer_in_json_is_json(reveal):
    words = ["--format", "json", *(["--reveal"] if reveal else [])]
    assert json.loads(audit_text(SAID, arguments(*words))) == audit_json(SAID, reveal)


# --- SARIF


def closed(required, **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
MESSAGE = closed(["text"], text=TEXT)  # 3.11
BAG = {"type": "object"}  # 3.8
LEVEL = {"enum": ["none", "note", "warning", "error"]}  # 3.27.10, 3.58.6
RULE = closed(["id"], id=TEXT, shortDescription=MESSAGE, properties=BAG)  # 3.49
ADDRESS = closed([], absoluteAddress={"type": "integer", "minimum": -1})  # 3.32
LOCATION = closed(  # 3.28; a physical location needs an address or an artifact (3.29.2)
    [],
    physicalLocation=closed(["address"], address=ADDRESS),
    logicalLocations={"type": "array", "items": closed([], name=TEXT, kind=TEXT)},
)
RESULT = closed(  # 3.27
    ["message"],
    ruleId=TEXT,
    ruleIndex={"type": "integer", "minimum": -1},
    level=LEVEL,
    message=MESSAGE,
    locations={"type": "array", "items": LOCATION},
    properties=BAG,
)
NOTIFICATION = closed(["message"], level=LEVEL, message=MESSAGE, descriptor=closed([], id=TEXT))
INVOCATION = closed(  # 3.20
    ["executionSuccessful"],
    executionSuccessful={"type": "boolean"},
    toolExecutionNotifications={"type": "array", "items": NOTIFICATION},
)
DRIVER = closed(  # 3.19
    ["name"],
    name=TEXT,
    version=TEXT,
    rules={"type": "array", "items": RULE, "uniqueItems": True},
)
RUN = closed(  # 3.14
    ["tool"],
    tool=closed(["driver"], driver=DRIVER),
    invocations={"type": "array", "items": INVOCATION},
    results={"type": "array", "items": RESULT},
    properties=BAG,
)
LOG = closed(  # 3.13
    ["version", "runs"],
    **{"$schema": TEXT, "version": {"const": "2.1.0"}, "runs": {"type": "array", "items": RUN}},
)
"""What of SARIF 2.1.0 an audit may have, after the standard's sections; all objects are closed."""


def defective():
    m = M66()
    m.xfeatures(m.bob, 0x203)
    m.poke(m.carol, 528, b"\1")
    m.target.put(SYMBOLS["init_fpstate"] + 64, bytes(2))
    return m.whole()


@pytest.mark.parametrize("reveal", [False, True])
@pytest.mark.parametrize("said", [SAID, Audit("", 0, (), ()), "defective"])
def test_sarif_is_as_the_standard_has_it(said, reveal):
    said = defective() if said == "defective" else said
    log = json.loads(json.dumps(audit_sarif(said, reveal)))
    jsonschema.validate(log, LOG)
    run = log["runs"][0]
    assert len(run["results"]) == len(said.findings)
    for result, finding in zip(run["results"], said.findings, strict=True):
        rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert rule["id"] == result["ruleId"] == finding.rule
        assert result["level"] == finding.severity.value
        place = result["locations"][0]["physicalLocation"]["address"]["absoluteAddress"]
        assert place == finding.address
        evidence = result["properties"]["evidence"]
        assert evidence == (finding.evidence.hex() if reveal else None)


def test_the_schema_can_refuse():
    for broken in (
        {"version": "2.1.0"},
        {"version": "2.0.0", "runs": []},
        {"version": "2.1.0", "runs": [{"tool": {"driver": {}}}]},
        {"version": "2.1.0", "runs": [], "more": 1},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, LOG)


def test_sarif():
    log = audit_sarif(SAID, False)
    assert (log["version"], log["$schema"].rsplit("/", 1)[1]) == ("2.1.0", "sarif-2.1.0.json")
    run = log["runs"][0]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("gdbfpu", gdbfpu.__version__)
    assert [(rule["id"], rule["shortDescription"]["text"]) for rule in driver["rules"]] == [
        (rule.name, rule.invariant) for rule in RULES
    ]
    assert driver["rules"][0]["properties"] == {"scope": "task", "page": "docs/audit/STALE.md"}
    assert run["results"][0]["message"]["text"] == (
        "Xorg (pid 42): 3 of 256 bytes are not initial, from byte 600. NT_X86_XSTATE copies it to "
        "user space as it is."
    )
    assert run["results"][0]["locations"][0]["logicalLocations"][0]["name"] == "Xorg (pid 42)"
    assert run["results"][0]["properties"] == audit_json(SAID, False)["findings"][0]
    assert run["invocations"] == [
        {
            "executionSuccessful": True,
            "toolExecutionNotifications": [
                {
                    "level": "note",
                    "message": {"text": "every CPU: they are in CPUs"},
                    "descriptor": {"id": "MSR"},
                }
            ],
        }
    ]
    assert run["properties"] == {
        "kernel": "Linux version 4.4.60",
        "tasks": 7,
        "verdict": "findings",
    }


@pytest.mark.parametrize("words", [[], ["--reveal"]])
def test_the_answer_in_sarif(words):
    text = audit_text(SAID, arguments("--format", "sarif", *words))
    assert json.loads(text) == audit_sarif(SAID, bool(words))


def test_a_map_is_no_list_of_findings():
    m = M44()
    with pytest.raises(UsageError, match="--map cannot be written as SARIF: use --format json or"):
        map_text(m.snapshot().model, arguments("--map", "11", "--format", "sarif"))


def test_a_map_of_the_task_that_runs():
    m = M44()
    told = map_text(m.snapshot().model, arguments("--map"))
    assert told.startswith("alice (pid 10): 832 bytes at ")
    told = json.loads(map_text(m.snapshot().model, arguments("--map", "11", "--format", "json")))
    assert (told["pid"], told["size"]) == (11, 832)
    assert {piece["value"] for piece in told["pieces"]} == {None}
    words = ("--map", "11", "--format", "json", "--reveal")
    told = json.loads(map_text(m.snapshot().model, arguments(*words)))
    assert told["pieces"][0]["value"] == m.peek(m.bob, 0, 5).hex()


def test_a_map_has_the_gaps():
    m = M510()
    m.poke(m.bob, 1000, b"\1")
    told = json.loads(map_text(m.snapshot().model, arguments("--map", "11", "--format", "json")))
    assert [piece["dirty"] for piece in told["pieces"] if piece["start"] == 832] == [1]


# --- secrets

SECRET = bytes.fromhex("c0ffee11deadbea7f00dfacebadc0de5")
"""Sixteen bytes of somebody's key."""


def traces(secret):
    """How bytes may stand in a text, whole or by their halves and quarters."""
    for size in (16, 8, 4):
        for start in range(0, 16, size):
            part = secret[start : start + size]
            yield part.hex()
            yield part[::-1].hex()  # as a little-endian integer
            yield part.hex(" ")
            yield part.hex(" ", 4)
            yield part.hex(":")
            yield str(int.from_bytes(part, "little"))
            yield "".join(f"\\x{byte:02x}" for byte in part)
    yield base64.b64encode(secret).decode().rstrip("=")
    yield secret.decode("latin-1")


def shows(text):
    return any(trace in text for trace in traces(SECRET))


def stale_secret(m):
    m.xfeatures(m.bob, 3 if isinstance(m, M44) else 0x203)
    m.poke(m.bob, 576, bytes(64) + SECRET + bytes(176))
    m.poke(m.carol, 576, SECRET * 16)
    return m


FORMATS = ("table", "json", "sarif")


@pytest.mark.parametrize("machine", [M44, M66])
@pytest.mark.parametrize("words", [(form,) for form in FORMATS] + [("json", "all")])
def test_no_secret_is_told_without_reveal(machine, words):
    m = stale_secret(machine())
    task = ["--all"] if len(words) > 1 else ["11"]
    for reveal in (False, True):
        asked = arguments("--format", words[0], *task, *(["--reveal"] if reveal else []))
        said = run_audit(m.snapshot().model, asked, lambda count: None)
        assert [finding.rule for finding in said.findings] == ["STALE"]
        assert "16 of 256 bytes are not initial, from byte 640" in said.findings[0].read
        assert "; 16 bytes equal AVX of carol (pid 12)" in said.findings[0].read
        assert shows(audit_text(said, asked)) is reveal
        assert not shows(repr(audit_json(said, False)))


@pytest.mark.parametrize("form", ["table", "json"])
def test_no_map_tells_a_secret_without_reveal(form):
    m = stale_secret(M44())
    for reveal in (False, True):
        asked = arguments("--map", "11", "--format", form, *(["--reveal"] if reveal else []))
        text = map_text(m.snapshot().model, asked)
        assert shows(text) is reveal


def test_no_line_of_a_trace_tells_a_secret():
    m = stale_secret(M44())
    model = m.snapshot().model
    watch = Watch(model)
    probe = next(p for p in CATALOGUE if p.function == "fpu__copy")
    watch.enter(probe, 1, m.task(m.bob), m.task(m.alice), None)
    returned = watch.leave("fpu__copy", m.task(m.alice))
    assert [finding.rule for finding in returned.findings] == ["FORK"]
    assert shows(returned.findings[0].evidence.hex())
    assert not shows(json.dumps(returned_json(returned)))
    assert not shows("\n".join(returned_lines(returned)))


def test_no_frame_tells_a_secret():
    m = M44()
    parts = {576: pattern("alice", "AVX", 256)}
    for place in (160, 464, 476, 520, 528, 576, 600, 832):
        image = frame(832, 7, 3, parts)
        image[place : place + 16] = SECRET
        said = m.frame(bytes(image), registers={"fcw": b"\x7f\x02", "xmm0": bytes(16)})
        assert said.findings
        evidence = SECRET[:4].hex()
        for form in FORMATS:
            text = audit_text(said, arguments("--format", form))
            assert SECRET.hex() not in text, (place, form)
            assert SECRET.hex(" ") not in text, (place, form)
            assert SECRET[4:].hex() not in text, (place, form)
        if place in (160, 528, 576):
            assert evidence in audit_text(said, arguments("--format", "json", "--reveal"))


def test_a_comm_cannot_break_a_terminal():
    m = M44()
    m.target.put(m.bob + 1144, b"\x1b[31m\nevil\0\0\0\0\0\0\0")
    m.poke(m.bob, 528, b"\1")
    text = audit_text(m.whole(), arguments("--all", "--out", "f"))
    assert "\x1b" not in text
    assert "error XCOMP: \\x1b[31m\\x0aevil (pid 11), at " in text


def test_the_lines_of_a_call():
    m = M44()
    watch = Watch(m.snapshot().model)
    probe = next(p for p in CATALOGUE if p.function == "fpstate_sanitize_xstate")
    m.xfeatures(m.bob, 3)
    m.poke(m.bob, 576, b"\1" * 10 + bytes(246))
    watch.enter(probe, 9, m.task(m.bob), m.task(m.alice), None)
    m.poke(m.bob, 576, bytes(7))
    returned = watch.leave(probe.function, m.task(m.alice))
    lines = returned_lines(returned)
    assert lines == (
        "       error SANITIZE: bob (pid 11): 3 of 256 bytes are not initial, from byte 583; the "
        "header's bit 2 is clear",
        "       made clean: AVX 7 bytes (hit 9)",
    )
    data = returned_json(returned)
    assert data.pop("time_ns") > 1_600_000_000_000_000_000
    (finding,) = data.pop("findings")
    assert (finding["rule"], finding["pid"], finding["evidence"]) == ("SANITIZE", 11, None)
    assert data == {
        "of": 9,
        "function": "fpstate_sanitize_xstate",
        "pid": 11,
        "undecided": [],
        "cleaned": {"AVX": 7},
        "left": {"AVX": 3},
    }


def test_what_a_shadow_stack_rule_tells_is_the_pointer_only():
    m = M66()
    m.xfeatures(m.bob, 0xA07)
    m.poke(m.bob, 840, SECRET)
    m.target.put_int(m.bob + FEATURES, 1)
    said = m.whole()
    assert [finding.rule for finding in said.findings] == ["SSP"]
    assert SECRET[:8].hex() not in audit_table(said, False, PLAIN)
    assert ELSEWHERE not in [finding.address for finding in said.findings]
