# SPDX-License-Identifier: GPL-2.0-or-later
"""Exports, each opened by a program that did not write it."""

from __future__ import annotations

import collections
import functools
import http.server
import re
import threading
from pathlib import Path

import pytest
import viztracer
from event_files import HIT, SANITIZE, SIGFRAME, written
from flameshow.parsers import parse
from markdown_it import MarkdownIt
from playwright.sync_api import Error

from gdbfpu.commands.export import export
from gdbfpu.commands.export_options import ExportOptions

TASKS = [("Xorg", 30, 29), ("calc;1", 31, 31), ('"q"\\', 32, 32)]
PATHS = [[SIGFRAME, "get_sigframe", "handle_signal"], [SANITIZE, "xfpregs_get"]]


def hits(count):
    for n in range(count):
        comm, pid, tgid = TASKS[n % 3]
        function, *callers = PATHS[n % 2]
        traced = {"caller_pid": 77, "caller_comm": "gdb"} if n % 5 == 0 else {"caller_pid": pid}
        yield {**HIT, "caller_comm": comm, **traced, "seq": n + 1, "time_ns": 10**18 + n * 1000,
               "comm": comm, "pid": pid, "tgid": tgid, "cpu": n % 2, "task": hex(0x1000 * pid),
               "function": function, "backtrace": callers, "live": n % 4 == 0,
               "xfeatures": "0x7" if n < 50 else "0x3"}  # fmt: skip


HITS = list(hits(100))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    file = written(folder / "hits.jsonl", *HITS)

    def make(form, **options):
        out = folder / f"{form}{len(list(folder.iterdir()))}.json"
        assert export(ExportOptions(file=file, to=form, out=out, **options)) == 0
        return out

    return make


# --- flame graphs: flameshow, which shows them in a terminal


def stacks(frame, above=()):
    """The stacks below a frame, with the hits that end in each."""
    path = (*above, frame.name)
    own = frame.values[0] - sum(child.values[0] for child in frame.children)
    found = collections.Counter({path[1:]: own} if own else {})
    for child in frame.children:
        found += stacks(child, path)
    return found


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("task", lambda hit: hit["comm"].replace(";", ":")),
        ("cpu", lambda hit: f"CPU {hit['cpu']}"),
        ("component", lambda hit: "x87|SSE|AVX" if hit["xfeatures"] == "0x7" else "x87|SSE"),
    ],
)
def test_flameshow_reads_the_stacks(exported, root, name):
    file = exported("folded", root=root)
    profile = parse(file.read_bytes(), file.name)
    assert profile.root_stack.values == [100]
    assert stacks(profile.root_stack) == collections.Counter(
        (name(hit), *hit["backtrace"][::-1], hit["function"]) for hit in HITS
    )


# --- timelines: Perfetto's page, whose trace processor is asked in SQL


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def perfetto():
    """The address of Perfetto's page on this machine."""
    root = Path(viztracer.__file__).parent / "web_dist"
    handler = functools.partial(Quiet, directory=root)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join(30)
    server.server_close()


QUERY = """async (sql) => {
  const result = await self.app.appCtx.currentTrace.engine.query(sql);
  const rows = [];
  for (const row = result.iter({}); row.valid(); row.next()) {
    rows.push(result.columns().map((name) => row.get(name))
      .map((value) => (typeof value === "bigint" ? Number(value) : value)));
  }
  return rows;
}"""


def test_perfetto_reads_the_timeline(exported, browser, perfetto):
    page = browser.new_page()
    page.goto(perfetto)
    page.set_input_files("input.trace_file", exported("perfetto"))
    page.wait_for_function("self.app?.appCtx?.currentTrace?.engine", timeout=60_000)

    def ask(sql):
        return [tuple(row) for row in page.evaluate(QUERY, sql)]

    assert ask("select name from stats where severity != 'info' and value > 0") == []
    comms = {comm: pid for comm, pid, _ in TASKS}
    tracks = dict(ask("select name, tid from thread where name is not null"))
    assert comms.items() <= tracks.items()
    assert {"CPU 0", "CPU 1"} <= tracks.keys()
    of_tasks = "join thread_track on slice.track_id = thread_track.id join thread using (utid)"
    counted = ask(
        f"select tid, slice.name, count(*) from slice {of_tasks} group by tid, slice.name"
    )
    assert {row for row in counted if row[0] in comms.values() and "(" not in row[1]} == {
        (*key, count)
        for key, count in collections.Counter((h["pid"], h["function"]) for h in HITS).items()
    }
    (first,) = ask(f"select min(ts) from slice {of_tasks} where tid = 31")
    (begin,) = ask("select min(ts) from slice")
    assert first[0] - begin[0] == 1000
    assert ask("select count(*) from flow") == [(sum(hit["caller_pid"] == 77 for hit in HITS),)]
    counters = "from counter join counter_track on counter.track_id = counter_track.id"
    assert ask(f"select value {counters} where name glob 'AVX *' order by ts") == [
        (1,), (2,), (3,), (2,), (1,), (0,)
    ]  # fmt: skip
    arguments = ask("select distinct string_value from args where key = 'args.registers'")
    assert set(arguments) == {("in the CPU",), ("in memory",)}
    page.close()


def test_perfetto_refuses_what_is_no_timeline(exported, browser, perfetto):
    """So that the test above can fail."""
    page = browser.new_page()
    page.goto(perfetto)
    page.set_input_files("input.trace_file", exported("csv"))
    with pytest.raises(Error, match="Timeout"):
        page.wait_for_function("self.app?.appCtx?.currentTrace?.engine", timeout=5_000)
    page.close()


# --- Markdown: markdown-it, as on code forges


def test_markdown_it_reads_the_report(exported):
    html = MarkdownIt().enable("table").render(exported("markdown").read_text())
    rows = [
        re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall("(?s)<tr>(.*?)</tr>", html)
    ]
    assert rows[0][:5] == ["task", "pid", "FPU", SIGFRAME, SANITIZE]
    assert {(row[0], row[1], row[2]) for row in rows[1:]} == {
        ("Xorg", "30", "yes"),
        ("calc;1", "31", "yes"),
        ("&quot;q&quot;\\", "32", "yes"),
    }
    assert sum(int(row[3]) + int(row[4]) for row in rows[1:]) == 100
