# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the report of an event file. Read it once, as a stream, in bounded memory.

The file is untrusted. Lines that cannot be read are counted and skipped. The type and range of
each value are checked before it is used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Callable

from gdbfpu.audit.rules import RULES
from gdbfpu.errors import CorruptState, UsageError
from gdbfpu.fpu.evidence import Answer, Use
from gdbfpu.kernel.tasks import Task
from gdbfpu.report.event_values import S32, U64, flag, hexadecimal, listed, number
from gdbfpu.report.report import Report, by_use
from gdbfpu.text.printable import one_line
from gdbfpu.trace.event_file import SCHEMA
from gdbfpu.trace.totals import MAX_ROWS, AuditFacts, Facts, TaskTotals, Totals
from gdbfpu.xsave.features import names

__all__ = ("MAX_FUNCTIONS", "MAX_LINE", "report_of_file", "report_of_stream")

MAX_FUNCTIONS = 64
"""How many different functions are counted; hits on any others are counted together."""

MAX_LINE = 1 << 18
"""The longest line to read, in bytes. A line with AMX state (`--state full`) has some 23,000."""

_OTHERS = "(other functions)"
_OTHER_RULES = "(other rules)"
_RULES = {rule.name for rule in RULES}
_COMPONENTS = set(names((1 << 64) - 1))
_NO_JSON = "not JSON"
_CUT = "cut short, as when a session is killed"
_MAX_DEPTH = 64  # callers of a path
_MAX_NAME = 128  # characters of a function's name
_MAX_COMM = 64  # characters: char[TASK_COMM_LEN], each byte as `\xNN`
_MAX_BANNER = 512
_MAX_WHY = 256
_STEP = 256  # lines between two calls of `progress`
_DECODER = json.JSONDecoder()


@dataclass
class _Reading:
    """What has been read from an event file so far.

    `latest` has the last task seen with each pid. `bad` has the count and the first line number
    of each defect.
    """

    totals: Totals = field(default_factory=Totals)
    functions: set[str] = field(default_factory=set)
    latest: dict[int, TaskTotals] = field(default_factory=dict)
    bad: dict[str, list[int]] = field(default_factory=dict)

    def defects(self) -> tuple[str, ...]:
        return tuple(
            f"line {first}: {why}" if count == 1 else f"{count} lines, first line {first}: {why}"
            for why, (count, first) in self.bad.items()
        )

    def note(self, number: int, why: str) -> None:
        self.bad.setdefault(why, [0, number])[0] += 1


def report_of_file(path: Path, progress: Callable[[int], None]) -> Report:
    """Return the report of the event file `path`; see `report_of_stream`.

    Also raises UsageError if the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return report_of_stream(stream, str(path), progress)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def report_of_stream(stream: BinaryIO, name: str, progress: Callable[[int], None]) -> Report:
    """Return the report of the event file in `stream`, which stands at its first line.

    The report lists the tasks that were hit. `progress` is called with the number of lines read
    so far. Raises UsageError if the first line is not the header of an event file with this
    schema, OSError if `stream` cannot be read. Defects of later lines are listed in the report.
    """
    kernel, switching = _header(stream, name)
    reading = _Reading()
    _read(stream, reading, progress)
    totals = reading.totals
    rows = by_use((*totals.tasks.values(), *totals.rest()))
    return Report(
        kernel=kernel,
        switching=switching,
        rows=rows,
        tasks=len(totals.tasks) + totals.folded,
        kthreads=0,
        using=sum(row.use.answer is Answer.YES for row in rows),
        hits=totals.hits,
        paths=tuple(totals.paths.most_common()),
        defects=reading.defects(),
        audits=totals.audited,
        undecided=dict(totals.undecided),
        source=one_line(Path(name).name),
    )


def _header(stream: BinaryIO, name: str) -> tuple[str, str]:
    """Return the kernel's banner and `lazy`, `eager` or `unknown` from the file's first line."""
    try:
        header = _object(stream.readline(MAX_LINE))
        schema = header["schema"]
    except (CorruptState, KeyError) as error:
        raise UsageError(
            f"{name} is not an event file: write one with `fpu-trace on --out`"
        ) from error
    if type(schema) is not int or schema != SCHEMA:
        raise UsageError(
            f"{name} has a schema other than {SCHEMA}: read it with the gdbfpu that wrote it"
        )
    kernel, switching = header.get("kernel"), header.get("switching")
    return (
        one_line(kernel[:_MAX_BANNER])[:_MAX_BANNER] if isinstance(kernel, str) else "?",
        switching if switching in ("lazy", "eager") else "unknown",
    )


def _read(stream: BinaryIO, reading: _Reading, progress: Callable[[int], None]) -> None:
    """Count every hit in the rest of `stream`."""
    number = 1
    while line := stream.readline(MAX_LINE):
        number += 1
        whole = line.endswith(b"\n")
        if not whole and len(line) == MAX_LINE:
            reading.note(number, f"longer than {MAX_LINE} bytes")
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE)
            continue
        try:
            event = _object(line)
            _take(event, reading)
        except CorruptState as error:
            why = str(error)
            reading.note(number, why if whole or why != _NO_JSON else _CUT)
        except KeyError as error:
            reading.note(number, f"{error} is missing")
        except TypeError:  # a list instead of a string, say
            reading.note(number, "a value has the wrong type")
        if not number % _STEP:
            progress(number)


def _object(line: bytes) -> dict[str, Any]:
    """Return the JSON object that is all of `line`; raise CorruptState."""
    try:
        text = line.strip().decode()
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, an int of 5,000 digits
        raise CorruptState(_NO_JSON) from error
    if end != len(text):
        raise CorruptState(_NO_JSON)
    if type(value) is not dict:
        raise CorruptState("not a JSON object")
    return value


def _take(event: dict[str, Any], reading: _Reading) -> None:
    """Add all of a line to `reading`, or nothing."""
    if "use_of" in event:
        _learned(event, reading)
    elif "of" in event:
        _audited(event, reading)
    else:
        _count(event, reading)


def _count(hit: dict[str, Any], reading: _Reading) -> None:
    """Add all of `hit` to the totals, or nothing: raise CorruptState, KeyError or TypeError."""
    task = _task(hit["task"], hit["pid"], hit["tgid"], hit["comm"])
    facts = _facts(hit)
    callers, totals = hit["backtrace"], reading.totals
    path = (hit["function"], *callers)
    if path not in totals.paths or type(callers) is not list:
        path = _path(hit["function"], callers, reading.functions)
    row = totals.add(task, path, facts)
    if len(reading.latest) >= MAX_ROWS:  # drop all: an audit's line comes soon after its hit's line
        reading.latest.clear()
    reading.latest[row.pid] = row


def _facts(hit: dict[str, Any]) -> Facts:
    """Return what `hit` adds to a row; raise CorruptState or KeyError."""
    thread = hit["thread"]
    return Facts(
        number("time_ns", hit["time_ns"], U64),
        number("cpu", hit["cpu"], S32),
        thread if thread is None else number("thread", thread, S32),
        _mask(hit["xfeatures"]),
        flag("live", hit["live"]),
        _use(hit),
    )


def _use(event: dict[str, Any]) -> Use | None:
    """Return what a line says about whether its task uses the FPU; None if it says nothing."""
    uses, why = event.get("uses_fpu"), event.get("why", "")
    if uses is not None:
        flag("uses_fpu", uses)
    if type(why) is not str:
        raise CorruptState("`why` is not a string")
    return _said(uses, why)


@lru_cache(maxsize=4096)
def _said(uses: bool | None, why: str) -> Use | None:
    if uses is None and not why:
        return None
    answer = Answer.UNKNOWN if uses is None else Answer.YES if uses else Answer.NO
    return Use(answer, one_line(why)[:_MAX_WHY])


def _learned(event: dict[str, Any], reading: _Reading) -> None:
    """Note what a signal frame showed about its task."""
    number("use_of", event["use_of"], U64)
    key = hexadecimal("task", event["task"]), number("pid", event["pid"], S32)
    use, row = _use(event), reading.totals.tasks.get(key)
    if row is None:
        raise CorruptState("a signal frame of a task that was never hit")
    if use is not None and row.use.answer is not Answer.YES:
        row.use = use


def _audited(event: dict[str, Any], reading: _Reading) -> None:
    """Add all that the audit of a call says to the totals of its task, or nothing."""
    pid = number("pid", event["pid"], S32)
    rules = tuple(_rule(finding["rule"]) for finding in listed("findings", event["findings"]))
    undecided = tuple(_rule(text) for text in listed("undecided", event["undecided"]))
    cleaned = event["cleaned"]
    if type(cleaned) is not dict or not cleaned.keys() <= _COMPONENTS:
        raise CorruptState("`cleaned` does not map components to bytes")
    for count in cleaned.values():
        number("cleaned", count, S32)
    if pid not in reading.latest:
        raise CorruptState("an audit of a task that was never hit")
    reading.totals.add_audit(reading.latest[pid], AuditFacts(rules, undecided, cleaned))


@lru_cache(maxsize=4096, typed=True)  # `true` equals 1 but must not pass for pid 1
def _task(address: str, pid: int, tgid: int, comm: str) -> Task:
    if type(comm) is not str or len(comm) > _MAX_COMM:
        raise CorruptState(f"`comm` is not a string of up to {_MAX_COMM} characters")
    return Task(
        hexadecimal("task", address),
        number("pid", pid, S32),
        number("tgid", tgid, S32),
        one_line(comm)[:_MAX_COMM],
        False,
    )


@lru_cache(maxsize=256)
def _mask(text: str | None) -> int:
    return 0 if text is None else hexadecimal("xfeatures", text)


def _rule(text: Any) -> str:
    """Return the rule's name from `text`, which is `RULE` or `RULE: why`."""
    if type(text) is not str:
        raise CorruptState("the name of a rule is not a string")
    name = text.partition(":")[0]
    return name if name in _RULES else _OTHER_RULES


def _path(function: Any, callers: Any, functions: set[str]) -> tuple[str, ...]:
    """Return a function and its callers, fit for a terminal, cut to the limits above."""
    if type(callers) is not list or not all(type(n) is str for n in (function, *callers)):
        raise CorruptState("`function` is not a string, or `backtrace` not a list of strings")
    function, *names = (_name(name) for name in (function, *callers[:_MAX_DEPTH]))
    if function not in functions and len(functions) >= MAX_FUNCTIONS:
        function = _OTHERS
    else:
        functions.add(function)
    return (function, *names)


def _name(text: str) -> str:
    return ascii(text)[1:-1][:_MAX_NAME]  # the kernel's names have letters, digits, `_` and `.`
