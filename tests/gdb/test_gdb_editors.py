# SPDX-License-Identifier: GPL-2.0-or-later
"""What an editor sees: GDB/MI's records stay whole, and so does the Debug Adapter Protocol.

The second is tried with the very launch.json of docs/editors.md, and with a GDB that can do it: the
newest one of Debian, if the GDB of the tests is older.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from gdb_dap import connected, served
from gdb_harness import DEADLINE, ROOT, environment, hit_lines

from qemu.gdbs import gdb_program

PAGE = ROOT / "docs/editors.md"

# The output syntax of GDB's manual: results and async records, streams, and the prompt.
_STRING = r'"(?:[^"\\]|\\.)*"'
_RECORD = re.compile(
    rf"\d*[\^*+=][a-z-]+(?:,.*)?|[~@&]{_STRING}|\(gdb\) ?"  # results: see _without_results
)


def _text(record: str) -> str:
    """What a stream record says: a C string, in which other bytes than ASCII are octal."""
    data = record[2:-1].encode().decode("unicode_escape")
    return data.encode("latin-1").decode()


def _without_results(text: str) -> str:
    """Return a record without its results, taken away from the innermost on if they are whole."""
    before = None
    text = re.sub(_STRING, "V", text)
    while before != text:
        before = text
        text = re.sub(r"\{\}|\[\]|[{[](?:[\w-]+=)?V(?:,(?:[\w-]+=)?V)*[}\]]", "V", text)
    return re.sub(r",(?:[\w-]+=)?V(?=,|$)", "", text)


def _checked(output: str) -> list[str]:
    """Return the lines of GDB/MI's output, each of which must be a record."""
    lines = output.splitlines()
    for line in lines:
        assert _RECORD.fullmatch(line), line
        if line[:1] not in "~@&":
            assert re.fullmatch(r"\d*[\^*+=][a-z-]+|\(gdb\) ?", _without_results(line)), line
    return lines


def _mi(*commands: str) -> list[str]:
    argv = [
        gdb_program(),
        "-nx",
        "-q",
        "--interpreter=mi3",
        "-iex",
        f"directory {ROOT / 'scripts'}",
    ]
    argv += ["-iex", "set debuginfod enabled off", "-iex", "set startup-with-shell off"]
    argv += ["-iex", "set mi-async off"]
    numbered = "".join(f"{number}{command}\n" for number, command in enumerate(commands))
    done = subprocess.run(
        argv, input=numbered, env=environment(), capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.stderr == ""
    return _checked(done.stdout)


def _console(command: str) -> str:
    return f'-interpreter-exec console "{command}"'


def test_mi_stays_valid_while_hits_are_printed(kernel44: Path) -> None:
    """With errors, settings and completion as an editor asks for them."""
    lines = _mi(
        f"-file-exec-and-symbols {kernel44}",
        "-gdb-set inferior-tty /dev/null",
        "-break-insert -t ready",
        "-exec-arguments lazy replay",
        "-exec-run",
        _console("source gdbfpu"),
        "-gdb-set fpu limit 9",
        "-gdb-show fpu limit",
        _console("fpu-trace on"),
        "-exec-continue",
        "-data-evaluate-expression $_fpu_hits",
        _console("fpu-report"),
        _console("fpu-state 4711"),
        '-complete "fpu-state --comm Xo"',
        _console("help fpu-trace on"),
        "-gdb-exit",
    )
    said = "".join(_text(line) for line in lines if line.startswith("~"))
    assert len(hit_lines(said)) == 9
    assert "fpu-trace: limit of 9 hits reached; tracing is off\n" in said
    assert " Xorg " in said.split("\n  thread ")[1]
    assert "usage: fpu-trace on [-h] [--probe FUNCTION]" in said
    results = {int(n): rest for n, rest in re.findall(r"(?m)^(\d+)\^(.*)$", "\n".join(lines))}
    assert results[7] == 'done,value="9"'
    assert results[10] == 'done,value="9"'
    assert results[12] == 'error,msg="fpu-state: no task with pid 4711"'
    assert results[13].startswith('done,completion="fpu-state --comm Xorg"')
    assert results[15] == "exit"


def test_what_is_no_record_is_seen() -> None:
    """The checks above would pass on a grammar that allows everything."""
    good = (
        '5^done,value="a\\"b",x=[{a="1",b={}},{c=["2","3"]}]', '~"hit\\n"', "(gdb) ", "*stopped",
        '*stopped,frame={addr="0x1",args=[]}',
    )  # fmt: skip
    assert _checked("\n".join(good)) == list(good)
    for bad in ("     1   Xorg", '~"hit', '5^done,value="a', "5^done,value={a=", '5^done,"a"b'):
        try:
            _checked(bad)
        except AssertionError:
            continue
        raise AssertionError(f"this passed: {bad}")


def _configuration(program: Path, target: str) -> dict[str, str]:
    """The one of the page, with the two values that are another machine's."""
    text = re.search(r"^```json\n(.*?)^```", PAGE.read_text(), re.M | re.S)[1]
    [found] = json.loads(text)["configurations"]
    assert found["program"] == "${workspaceFolder}/vmlinux"
    assert found["target"] == "localhost:1234"
    return {**found, "program": str(program), "target": target}


def test_vs_code(kernel44: Path) -> None:
    """Attach as the page says, then trace from the debug console."""
    with served(kernel44, "lazy", "replay") as address, connected() as editor:
        editor.ask("initialize", adapterID="gdb-dap")
        editor.wait("initialized")
        attached = editor.send("attach", **_configuration(kernel44, address))
        editor.ask("configurationDone")
        assert editor.answer(attached)["success"]
        editor.wait("stopped")
        editor.console("source gdbfpu")
        editor.console("tbreak ready")
        editor.ask("continue", threadId=1)
        editor.wait("stopped")
        assert "resumed without a step" in editor.console("fpu-trace on --limit 9")
        editor.ask("continue", threadId=1)
        assert len(hit_lines(editor.output("limit of 9 hits reached"))) == 9
        assert editor.console("output $_fpu_hits") == "9"
        assert " Xorg " in editor.console("fpu-report")
        wrong = editor.answer(editor.send("evaluate", expression="fpu-state 4711", context="repl"))
        assert not wrong["success"]
        assert "fpu-state: no task with pid 4711" in wrong["message"]
