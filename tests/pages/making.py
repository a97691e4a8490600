# SPDX-License-Identifier: GPL-2.0-or-later
"""Event files for pages, the pages made of them, and what one reads on a page."""

from __future__ import annotations

import struct

from event_files import HEADER, HIT, SANITIZE, written

from gdbfpu.commands.export import export
from gdbfpu.commands.export_options import ExportOptions

START = 1_795_648_682_000_000_000
FXSAVE = bytearray(512)
FXSAVE[0:2], FXSAVE[24:32] = struct.pack("<H", 0x37F), struct.pack("<II", 0x1F80, 0xFFFF)
FXSAVE[160:176] = struct.pack("<2d", 1.5, -2.0)  # xmm0
AREA = bytes(FXSAVE) + struct.pack("<QQ", 3, 0) + bytes(48) + b"\x55" * 256  # AVX is stale


def hit(seq, ms, **more):
    caller = {"caller_pid": more.get("pid", 30), "caller_comm": more.get("comm", "Xorg")}
    return {**HIT, **caller, "seq": seq, "time_ns": START + ms * 1_000_000, **more}


SSE, SANE = {"xfeatures": "0x3"}, {"function": SANITIZE, "backtrace": ["xfpregs_get", "sys_ptrace"]}
CALC = {"pid": 31, "tgid": 31, "comm": "calc", "task": "0xffff888000002000", "cpu": 0}
HITS = (
    hit(1, 0, live=False, raw=AREA.hex(), **SSE),
    hit(2, 400),
    hit(3, 500, **CALC, **SSE, live=False),
    hit(4, 700, caller_pid=77, caller_comm="gdb", **SANE),
    hit(5, 1000, **CALC, live=False),
    {
        "of": 4,
        "pid": 30,
        "findings": [
            {
                "rule": "SANITIZE",
                "severity": "error",
                "component": "AVX",
                "read": "9 bytes are stale",
                "why": "user space sees them",
            }
        ],
        "undecided": [],
        "cleaned": {},
    },
)


def page_of(tmp_path, *lines, header=HEADER, **options):
    """Write an event file of these lines; return the page that gdbfpu makes of it."""
    file, out = written(tmp_path / "hits.jsonl", *lines, header=header), tmp_path / "hits.html"
    assert export(ExportOptions(file=file, to="html", out=out, **options)) == 0
    return out


def many(count):
    tasks = [(30 + n, f"task{n}", f"0xffff88800000{n:02x}00") for n in range(50)]
    for seq in range(1, count + 1):
        pid, comm, task = tasks[seq * 7 % 50]
        yield hit(seq, seq, pid=pid, tgid=pid, comm=comm, task=task, cpu=seq % 4, live=seq % 3 == 0)


def table(page, selector):
    return page.eval_on_selector_all(
        f"{selector} tbody tr",
        "rows => rows.filter(r => !r.hidden).map(r => [...r.cells].map(c => c.innerText.trim()))",
    )


def facts(page):
    rows = page.eval_on_selector_all(
        "#one > table >> nth=0 >> tr", "rows => rows.map(r => [...r.cells].map(c => c.innerText))"
    )
    return dict(row for row in rows if len(row) == 2)


def canvas_point(page, share, row):
    """Where the timeline has the time `share` (of all) in row `row`, from the canvas's corner."""
    width = page.eval_on_selector("#hits", "canvas => canvas.clientWidth")
    return 170 + share * (width - 178), row * 22 + 11


def colour(page, x, y):
    return page.eval_on_selector(
        "#hits", "(c, [x, y]) => [...c.getContext('2d').getImageData(x, y, 1, 1).data]", [x, y]
    )[:3]


def shown_frames(page):
    return page.eval_on_selector_all(
        ".frame:not(.away)",
        "all => all.map(f => [f.getAttribute('aria-label'), parseFloat(f.getAttribute('x')), "
        "parseFloat(f.getAttribute('width'))])",
    )


def colours(page, x, rows):
    """The colours of the timeline in the column `x`, from the first of `rows` to the last."""
    data = page.eval_on_selector(
        "#hits",
        "(c, [x, y, high]) => [...c.getContext('2d').getImageData(x, y, 1, high).data]",
        [x, rows[0], len(rows)],
    )
    return [data[at : at + 3] for at in range(0, len(data), 4)]
