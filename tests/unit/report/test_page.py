# SPDX-License-Identifier: GPL-2.0-or-later
"""What a page is made of, within its bounds; tests/pages has what a browser shows of it."""

from __future__ import annotations

import json
import re

import pytest
from event_files import HEADER, HIT, written

from gdbfpu.report.event_lines import open_events
from gdbfpu.report.from_events import report_of_files
from gdbfpu.report.page import hits as page_hits
from gdbfpu.report.page import images
from gdbfpu.report.page.flame import Frame, flame
from gdbfpu.report.page.hits import PageHits
from gdbfpu.report.page.render import render


def read(tmp_path, *lines, header=HEADER):
    """Return the report of these lines, and the hits of their page."""
    with open_events(written(tmp_path / "hits", *lines, header=header), lambda lines: None) as file:
        hits = PageHits(file.header)
        return report_of_files((file,), None, hits), hits


def numbered(count, **more):
    return [{**HIT, "seq": n, "time_ns": 5000 * n, **more} for n in range(1, count + 1)]


def sums(steps):
    return [sum(steps[: n + 1]) for n in range(len(steps))]


def test_hits_are_columns_of_steps(tmp_path):
    lines = numbered(3)
    lines[1].update(time_ns=4000, cpu=0)  # the clock was set back
    data = read(tmp_path, *lines)[1].to_json()
    assert data["first_ms"] == 0.005
    assert (sums(data["seq"]), sums(data["time_us"])) == ([1, 2, 3], [0, -1, 10])
    assert data["kind"] == [0, 1, 0]
    assert [kind[1] for kind in data["kinds"]] == [1, 0]
    assert data["image"] == []


def test_too_many_hits_are_thinned_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr(page_hits, "MAX_HITS", 10)
    for count, stride, kept in ((9, 1, 9), (10, 2, 5), (18, 2, 9), (19, 4, 5), (100, 16, 7)):
        report, hits = read(tmp_path, *numbered(count))
        assert (report.hits, hits.stride) == (count, stride)
        assert sums(hits.to_json()["seq"]) == list(range(1, count + 1, stride))[:kept]


def test_too_many_kinds_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(page_hits, "MAX_KINDS", 2)
    lines = [{**hit, "cpu": n % 4} for n, hit in enumerate(numbered(12))]
    report, hits = read(tmp_path, *lines)
    assert (report.hits, hits.omitted, len(hits.to_json()["seq"])) == (12, 6, 6)
    assert "Not shown: 6 hits with rare combinations of task, CPU" in render(report, hits)


def test_registers_end_at_a_size_and_equal_ones_are_there_once(tmp_path, monkeypatch):
    raws = [bytes([n] * 10).hex().ljust(1664, "0") for n in range(4)]
    lines = [{**hit, "raw": raws[n]} for n, hit in zip((0, 1, 0, 2, 3, 1), numbered(6))]
    report, hits = read(tmp_path, *lines)
    data = hits.to_json()
    assert (data["image"], len(data["images"]), hits.images.full) == ([0, 1, 0, 2, 3, 1], 4, False)
    monkeypatch.setattr(images, "MAX_SIZE", 1)
    report, hits = read(tmp_path, *lines)
    assert (hits.to_json()["image"], hits.images.full) == ([0, -1, 0, -1, -1, -1], True)
    assert "no room for the registers of later hits" in render(report, hits)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"seq": -1}, "`seq` is not a number"),
        ({"caller_pid": "1"}, "`caller_pid` is not a number"),
        ({"raw": "xx"}, "`raw` is not an image"),
        ({"raw": 7}, "`raw` is not a string"),
    ],
)
def test_a_hit_that_cannot_be_read_counts_nowhere(tmp_path, change, why):
    report, hits = read(tmp_path, HIT, {**HIT, **change})
    assert report.hits == 1
    assert why in report.defects[0]
    assert len(hits.to_json()["seq"]) == sum(hits.stacks.counts().values()) == 1
    assert why.replace("`", "") in re.sub("`|&#3[49];", "", render(report, hits))


def audit(*rules, **more):
    finding = {"severity": "error", "component": "", "read": "r", "why": "w", **more}
    return {"of": 1, "pid": 30, "findings": [{**finding, "rule": rule} for rule in rules],
            "undecided": [], "cleaned": {}}  # fmt: skip


def test_findings_are_listed_up_to_a_number(tmp_path, monkeypatch):
    monkeypatch.setattr(page_hits, "MAX_FINDINGS", 3)
    report, hits = read(tmp_path, HIT, audit("STALE", "XCOMP"), audit("FORK", "EXEC"))
    assert ([f[1] for f in hits.findings], hits.found) == (["STALE", "XCOMP", "FORK"], 4)
    text = render(report, hits)
    assert "Not listed: 1 later finding." in text
    assert "4 findings in 2 audits" in text


def test_a_finding_that_cannot_be_read_counts_nowhere(tmp_path):
    report, hits = read(tmp_path, HIT, audit("STALE", severity=3))
    assert (report.audits, hits.found) == (0, 0)
    assert report.defects == ("line 3: `severity` is not a string",)


def test_a_flame_graph():
    stacks = {("a", "x", "f"): 3, ("a", "y", "f"): 1, ("b", "x", "f"): 4}
    assert flame(stacks) == [
        Frame("a", 0, 0.0, 0.5, 4),
        Frame("x", 1, 0.0, 0.375, 3),
        Frame("f", 2, 0.0, 0.375, 3),
        Frame("y", 1, 0.375, 0.125, 1),
        Frame("f", 2, 0.375, 0.125, 1),
        Frame("b", 0, 0.5, 0.5, 4),
        Frame("x", 1, 0.5, 0.5, 4),
        Frame("f", 2, 0.5, 0.5, 4),
    ]
    assert flame({}) == []


def test_a_flame_graph_leaves_out_what_nobody_can_see():
    """But those that are narrow one by one share a frame."""
    thin = {("a", f"thin{n}"): 1 for n in range(20)}
    assert flame({("a", "wide"): 9_980, **thin})[1:] == [
        Frame("wide", 1, 0.0, 0.998, 9_980),
        Frame("(20 others)", 1, 0.998, 0.002, 20),
    ]
    frames = flame({("a",): 9_999, ("b",): 1, tuple("x" * 100): 5000})
    assert {frame.name for frame in frames} == {"a", "x"}
    assert max(frame.depth for frame in frames) == 99


def test_the_data_of_a_page_end_no_script(tmp_path):
    report, hits = read(tmp_path, {**HIT, "comm": "</script><b>"})
    text = render(report, hits)
    data = re.search(r'id="data">(.*?)</script>', text, re.S)[1]
    assert json.loads(data)["tasks"][0][0] == "</script><b>"
    assert "<b>" not in text
