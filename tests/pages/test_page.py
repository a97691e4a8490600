# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of an event file, as Chromium shows it."""

from __future__ import annotations

import json
import re
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from event_files import HEADER, OTHER, SANITIZE, SIGFRAME
from PIL import Image

from tests.pages.making import (
    AREA,
    HITS,
    START,
    canvas_point,
    colour,
    facts,
    hit,
    many,
    page_of,
    shown_frames,
    table,
)


def test_it_begins_with_the_sentence(page):
    assert page.inner_text(".headline") == (
        "Xorg took 3 of 5 hits, with AVX in use; 2 tasks in hits.jsonl, 2 of them known to use "
        "the FPU; 5 hits in 1.00 s, 5.00/s; lazy switching; 1 finding in 1 audit."
    )
    assert page.inner_text("h1") == "FPU use in hits.jsonl"
    assert "2026-11-25 23:18:02 UTC" in page.inner_text(".facts")


def test_the_report(page):
    first, second = table(page, "#tasks")
    assert first == [
        *("Xorg", "30", "yes", "3", "60 %", "2", "1", "2", "1", "x87|SSE|AVX", "0.000", "0.700"),
        *("SANITIZE 1", "AVX values in memory at hit 1"),
    ]
    assert second[:9] == ["calc", "31", "yes", "2", "40 %", "2", "0", "0", "2"]


def test_the_report_is_sorted_by_mouse_and_by_keys(page):
    for _ in range(2):
        page.click("#tasks th:has-text('hits') button >> nth=0")
    assert [row[0] for row in table(page, "#tasks")] == ["calc", "Xorg"]
    page.focus("#tasks th:has-text('task') button >> nth=0")
    page.keyboard.press("Enter")
    assert [row[0] for row in table(page, "#tasks")] == ["calc", "Xorg"]
    page.keyboard.press("Enter")
    assert [row[0] for row in table(page, "#tasks")] == ["Xorg", "calc"]
    assert page.get_attribute("#tasks th >> nth=0", "aria-sort") == "descending"


def test_the_report_is_filtered(page):
    page.fill("#filter", "xorg 30")
    assert [row[0] for row in table(page, "#tasks")] == ["Xorg"]
    assert page.inner_text("#filtered") == "1 of 2 rows"
    page.fill("#filter", "")
    assert len(table(page, "#tasks")) == 2


@pytest.mark.parametrize(
    ("share", "row", "number"), [(0, 0, 1), (0.4, 0, 2), (0.5, 1, 3), (0.7, 0, 4), (1, 1, 5)]
)
def test_a_click_on_the_timeline_shows_the_hit(page, share, row, number):
    x, y = canvas_point(page, share, row)
    page.fill("#number", "3" if number != 3 else "1")
    page.keyboard.press("Enter")
    page.click("#hits", position={"x": x, "y": y})
    assert page.input_value("#number") == str(number)
    assert facts(page)["time"].startswith(f"{share:.6f} s after the first hit")


def test_live_marks_are_above_those_of_memory_and_of_another_colour(page):
    """Blue and vermilion of Okabe and Ito's palette, the latter darker to be read on white."""
    page.fill("#number", "5")
    page.keyboard.press("Enter")
    live, memory = [0xB3, 0x59, 0x00], [0x00, 0x72, 0xB2]
    x, middle = (round(value) for value in canvas_point(page, 0.4, 0))
    seen = {tuple(colour(page, x - 2, y)) for y in range(middle - 11, middle + 11)}
    assert (tuple(live) in seen, tuple(memory) in seen) == (True, False)
    x, middle = (round(value) for value in canvas_point(page, 0, 0))
    rows = [y for y in range(22) if colour(page, x, y) == memory]
    assert rows
    assert min(rows) >= 11
    x = round(canvas_point(page, 0.4, 0)[0])
    assert max(y for y in range(22) if colour(page, x - 2, y) == live) < 11


def test_the_timeline_by_cpu(page):
    page.select_option("#tracks", "cpu")
    x, _ = canvas_point(page, 0.5, 0)
    page.click("#hits", position={"x": x, "y": 11})  # CPU 0 is the first row
    assert page.input_value("#number") == "3"


def test_the_timeline_is_enlarged_and_moved(page):
    page.click("[data-zoom='2']")
    assert page.inner_text("#span") == "From 0.250 s to 0.750 s: 3 hits."
    page.click("[data-pan='0.5']")
    assert page.inner_text("#span") == "From 0.500 s to 1.000 s: 3 hits."
    page.click("[data-zoom='0']")
    assert page.inner_text("#span") == "From 0.000 s to 1.000 s: 5 hits."
    box = page.locator("#hits").bounding_box()
    x, y = canvas_point(page, 1, 0)
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.wheel(0, -100)
    page.wait_for_function("document.querySelector('#span').innerText.startsWith('From 0.3')")
    page.mouse.down()
    page.mouse.move(box["x"] + x + 300, box["y"] + y, steps=4)
    page.mouse.up()
    assert page.inner_text("#span").startswith("From 0.1")


def test_one_hit(page):
    page.fill("#number", "4")
    page.keyboard.press("Enter")
    assert facts(page) == {
        "time": "0.700000 s after the first hit, 2026-11-25T23:18:02.700Z",
        "task": "Xorg (pid 30, tgid 29), task_struct 0xffff888000001000",
        "path": f"{SANITIZE} < xfpregs_get < sys_ptrace",
        "CPU": "1",
        "registers": "in the CPU (live)",
        "xfeatures": "0x7 x87|SSE|AVX",
        "running task": "gdb (pid 77)",
        "uses FPU": "yes: AVX values in memory at hit 1",
    }
    assert "Finding SANITIZE error AVX 9 bytes are stale" in page.inner_text("#one")
    assert "Only `fpu-trace on --state full` records registers" in page.inner_text("#one")
    page.click("#before")
    assert page.input_value("#number") == "3"
    page.click("#after")
    page.click("#after")
    assert page.input_value("#number") == "5"
    assert (facts(page)["registers"], facts(page)["CPU"]) == ("in memory", "0")


def test_its_registers_and_the_map_of_its_area(page):
    text = page.inner_text("[aria-label=Registers]")
    assert re.search(r"xmm0\s+v2_double \{1.5, -2.0\}", text)
    assert "xmm1" not in text
    assert page.locator("summary:has-text('registers are zero or initial')").count() == 1
    pieces = page.eval_on_selector_all(
        ".map span", "all => all.map(s => [+s.style.flexGrow, s.className, s.title])"
    )
    assert sum(size for size, *_ in pieces) == len(AREA)
    assert [256, "kind-stale", "576 to 831: stale AVX, 256 bytes not zero"] in pieces
    assert [64, "kind-header", "512 to 575: header "] in pieces
    assert [256, "kind-in-use", "160 to 415: in use SSE"] in pieces


def test_tasks_and_components(page):
    heads = page.eval_on_selector_all(".matrix thead th", "all => all.map(c => c.innerText)")
    assert heads == ["task", "hits", "x87", "SSE", "AVX"]
    assert table(page, ".matrix") == [
        ["Xorg (30)", "3", "100 %", "100 %", "67 %"],
        ["calc (31)", "2", "100 %", "100 %", "50 %"],
    ]


def test_call_paths_are_a_flame_graph(page):
    sigframe = f"{SIGFRAME}: 2 hits, 40 %"
    assert shown_frames(page) == [
        ["Xorg: 3 hits, 60 %", 0, 60],
        ["get_sigframe: 2 hits, 40 %", 0, 40],
        [sigframe, 0, 40],
        ["sys_ptrace: 1 hit, 20 %", 40, 20],
        ["xfpregs_get: 1 hit, 20 %", 40, 20],
        [f"{SANITIZE}: 1 hit, 20 %", 40, 20],
        ["calc: 2 hits, 40 %", 60, 40],
        ["get_sigframe: 2 hits, 40 %", 60, 40],
        [sigframe, 60, 40],
    ]
    page.click(".frame[aria-label^='sys_ptrace']")
    assert shown_frames(page) == [
        ["Xorg: 3 hits, 60 %", 0, 100],
        ["sys_ptrace: 1 hit, 20 %", 0, 100],
        ["xfpregs_get: 1 hit, 20 %", 0, 100],
        [f"{SANITIZE}: 1 hit, 20 %", 0, 100],
    ]
    page.click("#whole")
    assert len(shown_frames(page)) == 9


def test_the_flame_graph_by_keys(page):
    page.focus(".frame >> nth=0")
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    assert [name for name, *_ in shown_frames(page)][:2] == [
        "calc: 2 hits, 40 %",
        "get_sigframe: 2 hits, 40 %",
    ]


def test_a_finding_leads_to_its_hit(page):
    assert table(page, "#found") == [
        ["4", "SANITIZE", "error", "AVX", "9 bytes are stale", "user space sees them"]
    ]
    page.click("[data-hit='4']")
    assert page.input_value("#number") == "4"
    assert page.evaluate("document.activeElement.id") == "number"


@pytest.mark.parametrize(("lines", "said"), [
    ((hit(1, 0),), "No call was audited"),
    ((hit(1, 0), {**HITS[5], "of": 1, "findings": []}), "No findings in 1 audit."),
])  # fmt: skip
def test_without_findings(tmp_path, opened, lines, said):
    with opened(page_of(tmp_path, *lines)) as page:
        assert said in page.inner_text("#findings")


def test_a_file_without_hits(tmp_path, opened):
    with opened(page_of(tmp_path)) as page:
        assert page.inner_text(".headline").startswith("0 tasks in hits.jsonl, 0 of them")


def test_names_stay_text(tmp_path, opened):
    evil = '</script><img src=x onerror=alert(1)>"&{{7*7}}'
    header = {**HEADER, "kernel": evil, "switching": evil}
    lines = [hit(1, 0, comm=evil, function=evil, backtrace=[evil], why=evil)]
    bad = {**HITS[5], "of": 1}
    bad["findings"] = [dict.fromkeys(bad["findings"][0], evil)]
    with opened(page_of(tmp_path, *lines, bad, header=header)) as page:
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 2
        assert evil in page.inner_text(".headline")
        assert table(page, "#found")[0][1] == evil
        assert facts(page)["path"] == f"{evil} < {evil}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_anybody_can_read_it(made, opened, scheme, tmp_path):
    """axe-core's rules: contrast of colours, names of controls, tables, the order of headings."""
    with opened(made, color_scheme=scheme) as page:
        for summary in page.locator("summary").all():
            summary.click()
        found = Axe().run(page).response["violations"]
        told = [(v["id"], [node["html"] for node in v["nodes"]]) for v in found]
        assert told == []
        page.screenshot(path=tmp_path / "page.png", full_page=True)
    corner = Image.open(tmp_path / "page.png").convert("L").getpixel((2, 2))
    assert corner > 240 if scheme == "light" else corner < 40


def test_on_paper(made, opened):
    with opened(made, color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        paper = page.eval_on_selector("body", "body => getComputedStyle(body).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        assert not page.is_visible(".tools >> nth=0")
        assert page.is_visible("#tasks")
        page.set_viewport_size({"width": 760, "height": 1000})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.pdf(format="A4").startswith(b"%PDF")


def test_without_scripts_the_rest_is_there(made, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(made.as_uri())
    assert "Xorg took 3 of 5 hits" in page.inner_text("body")
    assert page.locator("#tasks tbody tr").count() == 2
    assert page.locator(".frame").count() == 9
    assert "need JavaScript" in page.inner_text("noscript")
    context.close()


@pytest.mark.parametrize(("count", "limit"), [(10_000, 3.0), (100_000, 30.0)])
def test_large_files_open(tmp_path, opened, count, limit):
    file = page_of(tmp_path, *many(count))
    assert file.stat().st_size < 6_000_000
    started = time.monotonic()
    with opened(file) as page:
        page.wait_for_function("document.querySelector('#span').innerText !== ''")
        assert time.monotonic() - started < limit
        assert page.inner_text("#span").endswith(f": {count} hits.")
        page.fill("#number", str(count))
        page.keyboard.press("Enter")
        assert facts(page)["time"].startswith(f"{(count - 1) / 1000:.6f} s")


def test_more_hits_than_a_page_has(tmp_path, opened, monkeypatch):
    monkeypatch.setattr("gdbfpu.report.page.hits.MAX_HITS", 100)
    with opened(page_of(tmp_path, *many(1000))) as page:
        assert "one hit in 16" in page.inner_text("#timeline")
        assert page.inner_text("#span").endswith(": 63 hits.")
        page.click("#after")
        assert page.input_value("#number") == "17"
        assert page.inner_text(".headline").startswith("task0 took 20 of 1000 hits")


def test_the_header_is_not_trusted(tmp_path):
    """The policy names the script by its digest: no other runs."""
    text = page_of(tmp_path, *HITS).read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src &#39;none&#39;;")
    assert "unsafe-inline&#39;; script" in policy
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1]
    assert json.loads(data)["seq"] == [1, 1, 1, 1, 1]


def test_other(tmp_path, opened):
    """A hit without a header: nothing is in use."""
    with opened(page_of(tmp_path, {**hit(1, 0), **OTHER, "seq": 1, "time_ns": START})) as page:
        assert table(page, ".matrix") == [["intonly (31)", "1"]]
        assert facts(page)["xfeatures"] == "0x0 -"
