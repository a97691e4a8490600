# SPDX-License-Identifier: GPL-2.0-or-later
"""`fpu-trace on --top` as a person sees it, on a real terminal (tmux) of 80x24."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from gdb_harness import DEADLINE, ROOT, environment, events, started, trace
from gdb_terminal import Terminal
from gdb_tmux import COLUMNS, ROWS, Screen, Tmux, at_prompt

from qemu.gdbs import gdb_program

HEADING = " hits/s task            pid function            components  live caller"
TOTAL = re.compile(r"([0-9.]+|-) hits/s over [0-9.]+ s; until \d\d:\d\d:\d\d; (\d+) hits?; .*")
ROW = re.compile(
    r" +(?:[0-9.]+|-) storm +10\d (?:copy_fpstate_to_si~ - +\d+% get_sigframe"
    r"|fpstate_sanitize_x~ - +0% copy_fpstate_t~)"
)
STORM = "lazy storm 3 1000000"  # three CPUs; every other delivery finds the state in memory


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    """Return a GDB in tmux, which is closed in the end."""
    made = Tmux(tmp_path)
    yield made
    made.close()


def begin(tmux: Tmux, program: Path, arguments: str = STORM, options: str = "") -> Screen:
    """Start a trace; return the screen when the table has measured rates."""
    tmux.type(*started(program, arguments), f"fpu-trace on --top {options}".rstrip())
    tmux.enter("continue")
    return tmux.wait(lambda lines: has_rates(lines) and tasks_of(lines) == 3)


def totals(lines: Screen) -> list[re.Match]:
    return [match for line in lines if (match := TOTAL.fullmatch(line))]


def has_rates(lines: Screen) -> bool:
    return any(match[1] not in ("-", "0.0") for match in totals(lines))


def tasks_of(lines: Screen) -> int:
    return len({line.split()[2] for line in lines if ROW.fullmatch(line)})


def hits_of(lines: Screen) -> int:
    [total] = totals(lines)
    return int(total[2])


def table_of(lines: Screen) -> Screen:
    """Return the table's lines; there is one table on the screen, and it is whole."""
    [top] = [number for number, line in enumerate(lines) if TOTAL.fullmatch(line)]
    assert [number for number, line in enumerate(lines) if line == HEADING] == [top + 1]
    rows = [number for number, line in enumerate(lines) if ROW.fullmatch(line)]
    assert rows == list(range(top + 2, top + 2 + len(rows)))
    assert len(rows) == 6
    return lines[top : top + 8]


def printed(tmux: Tmux, expression: str) -> int:
    """Return what GDB prints for a number."""
    return int(tmux.type(f"print {expression}")[-2].split(" = ")[1])


def check_sums(table: Screen) -> None:
    """The rates of the rows add up to that of the trace, each rounded."""
    rate = float(table[0].split()[0])
    rows = [float(row.split()[0]) for row in table[2:]]
    assert abs(sum(rows) - rate) < 0.05 * (len(rows) + 1) + 0.001
    assert rows == sorted(rows, reverse=True)


def test_a_table_in_place(tmux: Tmux, kernel44: Path) -> None:
    """Redrawn in place; after ^C it is whole, the prompt below it, and nothing before is lost."""
    first = begin(tmux, kernel44)
    before = hits_of(first)
    assert first[-8:] == table_of(first)
    assert len(first) == ROWS  # at the bottom
    check_sums(table_of(first))
    later = tmux.wait(lambda lines: hits_of(lines) > before + 100)
    assert later[:-8] == first[:-8]
    check_sums(table_of(later))
    tmux.keys("C-c")
    last = tmux.wait(at_prompt)
    table = table_of(last)
    assert last[-2:] == [f"fpu-trace: interrupted: {hits_of(last)} hits, tracing is on", "(gdb)"]
    assert last[-10:-2] == table
    copies, sanitized = (printed(tmux, name) for name in ("copies", "sanitized"))
    assert 0 <= hits_of(last) - copies - sanitized <= 6  # where it stopped, a hit may not count yet
    lines = tmux.all()
    for typed in ("source gdbfpu", "fpu-trace on --top", "continue", "print copies"):
        assert lines.count(f"(gdb) {typed}") == 1
    assert [line for line in lines if line == HEADING] == [HEADING]


def test_go_on_and_off(tmux: Tmux, kernel44: Path) -> None:
    """After ^C and `continue` there is a second table, which counts on."""
    begin(tmux, kernel44)
    tmux.keys("C-c")
    before = hits_of(tmux.wait(at_prompt))
    tmux.type("shell sleep 3")
    tmux.enter("continue")
    lines = tmux.wait(lambda lines: lines[-8:-6] and TOTAL.fullmatch(lines[-8]))
    lines = tmux.wait(lambda lines: int(TOTAL.fullmatch(lines[-8])[2]) > before + 100)
    assert float(re.search(r"over ([0-9.]+) s", lines[-8])[1]) < 3  # without the pause
    tmux.keys("C-c")
    tmux.wait(at_prompt)
    last = tmux.type("fpu-trace off")
    hits = int(TOTAL.fullmatch(last[-12])[2])
    assert last[-3:] == ["(gdb) fpu-trace off", f"fpu-trace: off; {hits} hits so far", "(gdb)"]
    assert tmux.all().count(HEADING) == 2


def test_other_text_scrolls_above_it(tmux: Tmux, kernel44: Path) -> None:
    """What a console writes meanwhile is all there, in order, and the table stays whole."""
    table_of(begin(tmux, kernel44))
    messages = [f"[{number:>5}.000] kernel: message {number}" for number in range(60)]
    for message in messages:
        tmux.write(f"{message}\r\n")
    lines = tmux.wait(lambda lines: messages[-1] in lines)
    assert lines[-8:] == table_of(lines)
    assert lines[ROWS - 8 - 16 : ROWS - 9] == messages[-15:]
    tmux.write("half a line")
    before = hits_of(lines)
    lines = tmux.wait(lambda lines: hits_of(lines) > before + 100)
    assert lines[-9] == "half a line" and lines[-8:] == table_of(lines)
    tmux.keys("C-c")
    tmux.wait(at_prompt)
    shown = tmux.all()
    assert [line for line in shown if line.startswith("[") and "kernel" in line] == messages
    assert sum("half a line" in line for line in shown) == 1
    table_of(shown)


def test_stopped_with_ctrl_s(tmux: Tmux, kernel44: Path, tmp_path: Path) -> None:
    """A terminal that takes no text holds up no hit, and shows the table again after ^Q."""
    out = tmp_path / "events"
    begin(tmux, kernel44, options=f"--out {out}")
    tmux.keys("C-s")
    time.sleep(0.5)  # until all that was on its way is shown
    still, before = tmux.screen(), out.stat().st_size
    time.sleep(1.5)
    assert tmux.screen() == still
    assert out.stat().st_size > before + 100_000
    tmux.keys("C-q")
    lines = tmux.wait(lambda lines: hits_of(lines) > hits_of(still) + 100)
    assert lines[-8:] == table_of(lines)
    tmux.keys("C-c")
    assert hits_of(tmux.wait(at_prompt)) == len(events(out)[1])


def test_another_size(tmux: Tmux, kernel44: Path) -> None:
    """The table follows the terminal's size, and leaves nothing of itself behind."""
    begin(tmux, kernel44)
    for columns, rows, most in ((120, 40, "caller"), (50, 12, "live"), (30, 8, "function"),
                                (COLUMNS, ROWS, "caller")):  # fmt: skip
        tmux.resize(columns, rows)
        time.sleep(1)
        lines = tmux.screen()
        assert len(lines) == rows
        [at] = [number for number, line in enumerate(lines) if line.startswith(" hits/s task ")]
        assert lines[at].split()[-1] == most
        assert " hits/s over " in lines[at - 1]
        assert sum("hits/s" in line for line in lines) == 2
        assert all(len(line) <= columns for line in lines)
        assert rows - at - 1 == min(6, rows - max(rows // 4, 2) - 2)
    tmux.keys("C-c")
    last = tmux.wait(at_prompt)
    assert last[-10:-2] == table_of(last)
    assert tmux.all().count(HEADING) == 1


def test_more_rows_than_lines(tmux: Tmux, kernel44: Path) -> None:
    tmux.type(*started(kernel44, STORM), "set height 9", "fpu-trace on --top")
    tmux.enter("continue")
    lines = tmux.wait(lambda lines: lines[-1].endswith("2 more rows"))
    [total] = totals(lines)
    rows = [float(line.split()[0]) for line in lines[-5:]]
    assert lines[-6] == HEADING and lines[-7] == total[0]
    assert abs(sum(rows) - float(total[1])) < 0.4


def test_the_end_of_the_kernel(tmux: Tmux, kernel44: Path) -> None:
    tmux.type(*started(kernel44, "lazy storm 3 100"), "fpu-trace on --top")
    last = tmux.type("continue")
    assert hits_of(last) == 450  # 300 deliveries, half of them live
    assert len(table_of(last)) == 8
    assert "fpu-trace: the kernel is gone; tracing is off" in last
    assert sum("exited normally" in line for line in last) == 1
    assert printed(tmux, "6 * 7") == 42


def test_a_limit(tmux: Tmux, kernel44: Path) -> None:
    tmux.type(*started(kernel44, STORM), "fpu-trace on --top --limit 700")
    last = tmux.type("continue")
    assert hits_of(last) == 700
    assert last[-10:-2] == table_of(last)
    assert last[-2] == "fpu-trace: limit of 700 hits reached; tracing is off"
    lines = tmux.type("shell seq 40")  # the whole screen scrolls again
    assert lines[-24:-1] == [str(number) for number in range(18, 41)]


def test_a_line_that_has_not_ended(tmux: Tmux, kernel44: Path) -> None:
    """The last table begins on a line of its own, and takes nothing away."""
    tmux.type(*started(kernel44, "lazy loop 1000000 500"), "fpu-trace on --top --limit 2000")
    tmux.enter("continue")
    tmux.wait(has_rates)
    tmux.write("half a line")
    last = tmux.wait(at_prompt)
    at = last.index("half a line")
    assert TOTAL.fullmatch(last[at + 1]) and last[at + 2] == HEADING
    assert last[-2] == "fpu-trace: limit of 2000 hits reached; tracing is off"


def test_colour(tmux: Tmux, kernel44: Path) -> None:
    begin(tmux, kernel44)
    assert sum("\x1b[1m" in line for line in tmux.screen("-e")) == 2  # the total and the heading
    tmux.keys("C-c")
    tmux.wait(at_prompt)
    tmux.type("fpu-trace off", "set style enabled off", "shell clear", "fpu-trace on --top")
    tmux.enter("continue")
    tmux.wait(has_rates)
    assert not any("\x1b[1m" in line for line in tmux.screen("-e"))


# --- GDB's TUI


def inside(lines: Screen) -> Screen:
    """Return what stands inside of the window."""
    return [line[1:-1].rstrip() for line in lines if line.startswith("│")]


def begin_in_tui(tmux: Tmux, program: Path, *commands: str) -> None:
    """Start a trace with the TUI on, run `commands`, and let the kernel go on."""
    tmux.type(*started(program, STORM), "tui enable")
    tmux.wait(lambda lines: lines and lines[0].startswith("┌─") and at_prompt(lines))
    told = tmux.type("fpu-trace on --top")
    assert "fpu-trace: the table appears with the first hit" in told, "\n".join(told)
    tmux.type(*commands)
    tmux.enter("continue")


def test_the_window(tmux: Tmux, kernel44: Path) -> None:
    """With the TUI on, the command changes to the layout, whose window has the table."""
    begin_in_tui(tmux, kernel44)
    lines = tmux.wait(lambda lines: has_rates(inside(lines)) and inside(lines)[7])
    before = hits_of(inside(lines))
    lines = tmux.wait(lambda lines: hits_of(inside(lines)) > before + 100)
    assert lines[0].startswith("┌─fpu-trace─")
    window = inside(lines)
    assert TOTAL.fullmatch(window[0]) and window[1] == HEADING
    assert all(re.match(r" +[0-9.]+ storm +10\d ", row) for row in window[2:8])
    assert not any(window[8:])
    tmux.resize(100, 30)
    lines = tmux.wait(lambda lines: len(lines[0]) == 100 and has_rates(inside(lines)))
    tmux.keys("C-c")
    lines = tmux.wait(lambda lines: any(" interrupted: " in line for line in lines))
    hits = hits_of(inside(lines))
    assert f"fpu-trace: interrupted: {hits} hits, tracing is on" in lines
    tmux.type("tui disable")
    time.sleep(0.5)
    assert printed(tmux, "6 * 7") == 42


def test_the_layout_by_itself(tmux: Tmux, kernel44: Path) -> None:
    tmux.type("source gdbfpu", "layout fpu")
    time.sleep(0.5)
    tmux.type("focus fpu")
    tmux.keys("Up", "Down", "Left", "Right", "PageUp", "PageDown")
    screen = tmux.type("print 6 * 7")
    assert inside(screen)[0].startswith("No trace with --top has run yet")
    assert not any("Error" in line or "Traceback" in line for line in screen)


def test_another_layout_has_plain_lines(tmux: Tmux, kernel44: Path) -> None:
    """No cursor is moved in the TUI: its screen is not ours."""
    begin_in_tui(tmux, kernel44, "layout src")
    rows = r" +[0-9.]+ storm +10\d "
    lines = tmux.wait(lambda lines: sum(bool(re.match(rows, line)) for line in lines) == 6)
    assert all(re.match(rows, line) for line in lines[-6:])
    assert "kernel44.c" in lines[0]


# --- no terminal to draw on


def test_plain_lines_without_a_terminal(kernel44: Path) -> None:
    """A table at the first hit and one at the end, whole, without a command to a terminal."""
    output = trace(kernel44, "fpu-trace on --top", "continue")
    assert "\x1b" not in output.text
    lines = output.parts[1].splitlines()
    assert sum(line.startswith(" hits/s      hits task ") for line in lines) == 2
    assert sum(bool(TOTAL.fullmatch(line)) for line in lines) == 2
    last = lines[max(n for n, line in enumerate(lines) if TOTAL.fullmatch(line)) + 2 :]
    rows = [line.split() for line in last if re.match(r" +[0-9.]+ +\d+ \w+ +3\d ", line)]
    assert sum(int(row[1]) for row in rows) == 24
    assert {row[2] for row in rows} == {"Xorg", "audiod", "mmxplay", "x87calc"}


@pytest.mark.parametrize("terminal", [{"screen": (24, 80), "TERM": "dumb"}], indirect=True)
def test_a_dumb_terminal(terminal: Terminal, kernel44: Path) -> None:
    terminal("set height 0", *started(kernel44), "break finished", "fpu-trace on --top")
    shown = terminal("continue")
    assert "\x1b" not in shown and "24 hits" in shown


@pytest.mark.parametrize("interpreter", ["-i=mi", "--interpreter mi3"])
def test_gdb_mi_on_a_terminal(tmp_path: Path, kernel44: Path, interpreter: str) -> None:
    """A front end may read MI's records from a terminal: nothing else may come there."""
    mi = pexpect.spawn(
        gdb_program(),
        [*interpreter.split(), "-nx", "-q", "-iex", f"directory {ROOT / 'scripts'}"],
        env=environment(TERM="xterm"), encoding="utf-8", timeout=DEADLINE, dimensions=(24, 80),
        echo=False,
    )  # fmt: skip
    for command in ("set debuginfod enabled off", "set startup-with-shell off",
                    *started(kernel44), "fpu-trace on --top --limit 20"):  # fmt: skip
        mi.sendline(
            f"1{command}" if command.startswith("-") else f'1-interpreter-exec console "{command}"'
        )
        mi.expect(r"1\^(done|running).*?\(gdb\) ")
    mi.sendline("-exec-continue")
    mi.expect(r"limit of 20 hits reached")
    shown = mi.before
    mi.close(force=True)
    assert "\x1b" not in shown
    assert " hits/s over " in shown
