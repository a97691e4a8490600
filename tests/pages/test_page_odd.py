# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of an event file that is odd: clocks set back, one instant, long names, too much."""

from __future__ import annotations

import struct

import pytest

from tests.pages.making import AREA, HITS, canvas_point, colours, facts, hit, page_of, table

LIVE, MEMORY = [0xB3, 0x59, 0x00], [0x00, 0x72, 0xB2]
AUDIT = HITS[5]


def numbered(page, number):
    page.fill("#number", str(number))
    page.keyboard.press("Enter")


def column(page, heading):
    heads = page.eval_on_selector_all("#tasks thead th", "all => all.map(c => c.innerText.trim())")
    return [row[heads.index(heading)] for row in table(page, "#tasks")]


def drawn(page, control="[data-zoom='0']"):
    """Draw the timeline by a click; return the texts on it, each with its place."""
    return page.evaluate(
        """(control) => {
      const texts = [];
      const kind = CanvasRenderingContext2D.prototype;
      const { fillText } = kind;
      kind.fillText = function (text, x, y) {
        texts.push([text, x, y]);
        fillText.apply(this, arguments);
      };
      document.querySelector(control).click();
      kind.fillText = fillText;
      return texts;
    }""",
        control,
    )


def many_tasks():
    for n, (comm, count) in enumerate({"apple": 9, "Banana": 10, "cherry": 100}.items()):
        for seq in range(count):
            yield hit(n * 1000 + seq + 1, n + seq, comm=comm, pid=50 + n, task=hex(0x1000 + n))


def test_numbers_are_sorted_as_numbers_and_names_as_words(tmp_path, opened):
    early = {**hit(5000, -5000, comm="early", pid=90, task="0x90")}
    without = {**hit(5001, 0, comm="Without", pid=91, task="0x91"), "time_ns": 0}
    with opened(page_of(tmp_path, *many_tasks(), early, without)) as page:
        for _ in range(2):
            page.click("#tasks th:has-text('hits') button >> nth=0")
        assert column(page, "hits") == ["1", "1", "9", "10", "100"]
        page.click("#tasks th:has-text('task') button >> nth=0")
        assert column(page, "task") == ["apple", "Banana", "cherry", "early", "Without"]
        assert page.locator("#tasks [aria-sort]").count() == 1
        for wanted in (["0.002", "0.001", "0.000", "-5.000", ""],) * 2:
            page.click("#tasks th:has-text('first') button")
            found = column(page, "first (s)")
            assert wanted in (found, found[::-1])


def test_the_report_is_filtered_by_each_word(tmp_path, opened):
    with opened(page_of(tmp_path, *many_tasks())) as page:
        for words, found in (("BANANA", ["Banana"]), ("an yes 51", ["Banana"]), ("cherry 51", [])):
            page.fill("#filter", words)
            assert column(page, "task") == found


def test_a_clock_that_was_set_back(tmp_path, opened):
    """All times count from the hit that the file has first."""
    calc = {"pid": 31, "comm": "calc", "task": "0x31"}
    with opened(page_of(tmp_path, hit(1, 0), hit(2, -2000, **calc), hit(3, 1000))) as page:
        assert page.inner_text("#span") == "From -2.000 s to 1.000 s: 3 hits."
        assert "2026-11-25 23:18:02 UTC" in page.inner_text(".facts")
        assert (column(page, "task"), column(page, "first (s)")) == (
            ["Xorg", "calc"],
            ["0.000", "-2.000"],
        )
        numbered(page, 2)
        assert facts(page)["time"] == "-2.000000 s after the first hit, 2026-11-25T23:18:00.000Z"


def test_one_hit_only(tmp_path, opened):
    with opened(page_of(tmp_path, hit(7, 0))) as page:
        for control in ("[data-zoom='2']", "[data-pan='0.5']", "#before", "#after"):
            page.click(control)
            assert page.inner_text("#span") == "From 0.000 s to 0.000 s: 1 hit."
            assert page.input_value("#number") == "7"
        x = round(canvas_point(page, 0, 0)[0])
        assert LIVE in colours(page, x - 2, range(22))


def test_hits_of_one_instant(tmp_path, opened):
    """Each row has a mark for live hits and one for the others; a click tells them apart."""
    tasks = [{"pid": 30 + n, "comm": f"t{n}", "task": hex(0x30 + n)} for n in range(2)]
    lines = [hit(n + 1, 0, **tasks[n // 2], live=n % 2 == 0) for n in range(4)]
    with opened(page_of(tmp_path, *lines)) as page:
        x = round(canvas_point(page, 0, 0)[0])
        for row in range(2):
            rows = range(row * 22, row * 22 + 22)
            numbered(page, 4 - 2 * row)  # its mark must not be in the way
            assert LIVE in colours(page, x - 2, rows[:11])
            assert MEMORY in colours(page, x, rows[11:])
            for place, number in ((6, 1), (15, 2)):
                page.click("#hits", position={"x": x, "y": row * 22 + place})
                assert page.input_value("#number") == str(2 * row + number)


def test_times_on_the_axis_are_where_they_say(page):
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        labels = [(float(text[:-2]), x) for text, x, _ in drawn(page) if text.endswith(" s")]
        width = page.eval_on_selector("#hits", "canvas => canvas.clientWidth")
        for seconds, x in labels[:-1]:  # the last may have been moved inside
            assert x == pytest.approx(170 + seconds * (width - 178), abs=1)
        assert len(labels) >= 2
        gaps = [after[1] - before[1] for before, after in zip(labels, labels[1:])]
        assert min(gaps) > 40  # pixels: wider than a label
    texts = drawn(page, "[data-zoom='2']")
    closer = [(float(text[:-2]), x) for text, x, _ in texts if text.endswith(" s")]
    assert all(0.25 <= seconds <= 0.75 and x >= 170 for seconds, x in closer)
    assert len(closer) >= 2


def test_more_tasks_than_rows_and_rows_by_cpu(tmp_path, opened):
    lines = [hit(n + 1, n, pid=n + 1, comm="W" * 64, task=hex(n + 1), cpu=9 + n % 2 * 2)
             for n in range(40)]  # fmt: skip
    with opened(page_of(tmp_path, *lines)) as page:
        texts = drawn(page)
        assert ["10 others", 8, 30 * 22 + 15] in texts
        assert sum("W" in text for text, *_ in texts) == 30
        assert page.eval_on_selector("#hits", "canvas => canvas.clientHeight") == 31 * 22 + 24
        assert len(set(map(tuple, colours(page, 164, range(660))))) == 1  # names are cut before
        x, y = canvas_point(page, 1, 30)
        page.click("#hits", position={"x": x, "y": y})
        assert page.input_value("#number") == "40"
        page.select_option("#tracks", "cpu")
        assert [text for text, *_ in drawn(page) if "CPU" in text] == ["CPU 9", "CPU 11"]
        assert page.eval_on_selector("#hits", "canvas => canvas.clientHeight") == 2 * 22 + 24


def test_names_from_right_to_left_leave_the_pid_behind_them(tmp_path, opened):
    with opened(page_of(tmp_path, hit(1, 0, comm="אבגד", pid=33))) as page:
        name, pid = page.eval_on_selector(".matrix tbody th", """th =>
        [...th.childNodes].map((n) => {
          const range = document.createRange();
          range.selectNodeContents(n);
          return range.getBoundingClientRect().left;
        })""")  # fmt: skip
        assert name < pid
        assert "\u2068אבגד\u2069 (33)" in [text for text, *_ in drawn(page)]


def test_registers_belong_to_their_hit(tmp_path, opened):
    other = bytearray(AREA)
    other[160:176], other[512] = struct.pack("<2d", 3.25, 0), 7  # AVX is in use
    lines = [hit(1, 0, raw=AREA.hex(), live=False), hit(2, 1, raw=other.hex()), hit(3, 2)]
    with opened(page_of(tmp_path, *lines)) as page:
        for number, value, kind, header in ((1, "1.5, -2", "stale", "0x3"),
                                            (2, "3.25, 0", "in use", "0x7")):  # fmt: skip
            numbered(page, number)
            text = page.inner_text("#one")
            assert f"v2_double {{{value}" in text
            assert ("the CPU has newer registers" in text) == (number == 2)
            assert header in page.inner_text("#one pre")
            assert page.locator(f".map [title^='576 to 831: {kind} AVX']").count() == 1
            said = int(page.inner_text("summary:has-text('zero or initial')").split()[0])
            assert page.locator("[aria-label='Empty registers'] tbody tr").count() == said
        numbered(page, 3)
        assert page.locator(".map, pre").count() == 0


def test_registers_of_the_cpu_say_so(tmp_path, opened):
    """The map shows memory all the same: its stale bytes are what leaks."""
    live = hit(1, 0, raw=AREA.hex(), registers={"ymm0": struct.pack("<4d", 7.5, 0, 0, 0).hex()})
    with opened(page_of(tmp_path, live, hit(2, 1, raw=AREA.hex()))) as page:
        numbered(page, 1)
        text = page.inner_text("#one")
        assert "v2_double {7.5" in text
        assert "newer registers" not in text
        rows = page.locator("[aria-label='Registers'] tr")
        assert rows.first.inner_text().split("\t")[-1].strip() == "from"
        (xmm0,) = [row for row in rows.all_inner_texts() if row.startswith("xmm0")]
        assert xmm0.split("\t")[-1] == "CPU"
        assert page.locator(".map [title^='576 to 831: stale AVX']").count() == 1
        numbered(page, 2)
        assert "v2_double {1.5" in page.inner_text("#one")
        assert "CPU has newer registers" in page.inner_text("#one")


def test_the_map_of_an_area_as_a_table(page):
    """The places are those of Intel's SDM, volume 1, 13.4 and table 10-2."""
    page.click("summary:has-text('The same as a table') >> nth=0")
    assert table(page, "#one details >> nth=0 >>") == [
        ["0", "23", "24", "in use", "x87", ""],
        ["24", "31", "8", "in use", "MXCSR and its mask", ""],
        ["32", "159", "128", "in use", "x87", ""],
        ["160", "415", "256", "in use", "SSE", ""],
        ["416", "463", "48", "reserved", "reserved", ""],
        ["464", "511", "48", "padding", "software", ""],
        ["512", "575", "64", "header", "", ""],
        ["576", "831", "256", "stale", "AVX", "256"],
    ]
    texts = page.eval_on_selector_all(".map span", "all => all.map(s => s.textContent)")
    assert [text for text in texts if text] == ["x87", "MXCSR and its mask", "x87", "SSE", "AVX"]


def test_a_number_that_is_not_on_the_page(tmp_path, opened, monkeypatch):
    """A finding never leads to another hit without a word."""
    monkeypatch.setattr("gdbfpu.report.page.hits.MAX_HITS", 4)
    lines = [hit(n, n) for n in range(1, 7)]
    with opened(page_of(tmp_path, *lines, {**AUDIT, "of": 6})) as page:
        page.click("[data-hit='6']")
        text = page.inner_text("#one")
        assert page.input_value("#number") == "5"
        assert "Hit 6 is not on this page: this is the nearest." in text
        assert "Finding" not in text
        for number, shown in ((-3, "1"), (99, "5"), (1, "1")):
            numbered(page, number)
            assert page.input_value("#number") == shown
            assert ("not on this page" in page.inner_text("#one")) == (number != 1)


def test_numbers_that_a_browser_cannot_count(tmp_path, capsys):
    """Doubles are exact up to 2**53: such hits would all have one number."""
    file = tmp_path / "hits.jsonl"
    with pytest.raises(AssertionError):
        page_of(tmp_path, hit(1, 0), hit(2**53, 1), {**AUDIT, "of": 2**64 - 1})
    assert capsys.readouterr().err.splitlines() == [
        f"gdbfpu: incomplete: line 3: `seq` is not a number from 0 to {2**53 - 1}",
        f"gdbfpu: incomplete: line 4: `of` is not a number from 0 to {2**53 - 1}",
    ]
    assert file.exists()


def test_the_last_time_there_is(tmp_path, opened):
    lines = [
        {**hit(2**53 - 2 + n, 0), "time_ns": 2**64 - 2_000_001 + n * 2_000_000} for n in (0, 1)
    ]
    with opened(page_of(tmp_path, *lines)) as page:
        assert page.input_value("#number") == str(2**53 - 2)
        page.click("#after")
        assert page.input_value("#number") == str(2**53 - 1)
        assert facts(page)["time"] == "0.002000 s after the first hit, 2554-07-21T23:34:33.709Z"


def test_many_tasks_of_one_hit_each(tmp_path, opened, monkeypatch):
    """No frame is wide enough to be seen, and the graph still shows how many hits there are."""
    monkeypatch.setattr("gdbfpu.report.page.flame._THINNEST", 1 / 20)
    monkeypatch.setattr("gdbfpu.report.page.render._MATRIX", 10)
    lines = [hit(n, n, pid=n, comm=f"t{n}", task=hex(n)) for n in range(1, 31)]
    with opened(page_of(tmp_path, *lines)) as page:
        frames = page.eval_on_selector_all(".frame", "all => all.map(f => f.ariaLabel)")
        assert frames == ["(30 others): 30 hits, 100 %"]
        assert page.locator(".matrix tbody tr").count() == 10
        assert "Not shown: 20 tasks with fewer hits." in page.inner_text("#components")


def test_more_paths_than_the_table_lists(tmp_path, opened):
    lines = [hit(n, n, backtrace=[f"f{n}"]) for n in range(1, 502)]
    with opened(page_of(tmp_path, *lines)) as page:
        page.click("#paths summary")
        assert page.locator("#paths tbody tr").count() == 500
        assert "Not shown: 1 rarer path." in page.inner_text("#paths")


def test_nothing_is_wider_than_the_screen(tmp_path, opened):
    long = {"comm": "W" * 64, "function": "f" * 128, "xfeatures": "0xffffffffffffffff"}
    found = {**AUDIT, "of": 1, "findings": [{**AUDIT["findings"][0], "read": "r" * 500}]}
    with pytest.raises(AssertionError):  # a line is defective
        page_of(tmp_path, hit(1, 0, raw=AREA.hex(), **long), found, b"{}")
    with opened(tmp_path / "hits.html") as page:
        for summary in page.locator("summary").all():
            summary.click()
        for width in (1280, 768, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") == width
        assert "incomplete: line 4: 'task' is missing" in page.inner_text(".remarks")
