# SPDX-License-Identifier: GPL-2.0-or-later
"""Who can read and use the page: by keyboard, by touch, in light and dark, on paper."""

from __future__ import annotations

import re

import pytest

from tests.pages.making import AREA, HITS, canvas_point, colours, hit, page_of, shown_frames


def rgb(text):
    return [int(part) for part in re.findall(r"\d+", text)[:3]]


def contrast(one, other):
    """The contrast ratio of WCAG 2.1."""

    def luminance(colour):
        parts = [c / 255 for c in colour]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(c * share for c, share in zip(parts, (0.2126, 0.7152, 0.0722)))

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def style(page, selector, *names):
    """The colours `names` of each element, as computed."""
    return [
        tuple(map(rgb, one))
        for one in page.eval_on_selector_all(
            selector, "(all, names) => all.map(e => names.map(n => getComputedStyle(e)[n]))", names
        )
    ]


@pytest.fixture(params=["light", "dark"])
def shaded(request, made, opened):
    with opened(made, color_scheme=request.param) as page:
        yield page


def test_what_axe_does_not_look_at_can_be_read(shaded):
    """SVG and the map. WCAG wants 4.5 for text and 3 for marks."""
    fills, inks = style(shaded, ".frame rect", "fill"), style(shaded, ".frame text", "fill")
    assert len(fills) == len(inks) == 9
    for (fill,), (ink,) in zip(fills, inks):
        assert contrast(fill, ink) >= 4.5
    for text, ground in style(shaded, ".map .kind-in-use", "color", "backgroundColor"):
        assert contrast(text, ground) >= 4.5
    ((paper,),) = style(shaded, "body", "backgroundColor")
    kinds = ("in-use", "header", "reserved")
    grounds = [style(shaded, f".map .kind-{kind}", "backgroundColor")[0][0] for kind in kinds]
    assert len({tuple(ground) for ground in (*grounds, paper)}) == 4
    stale = shaded.eval_on_selector(".map .kind-stale", "e => getComputedStyle(e).backgroundImage")
    assert "repeating-linear-gradient" in stale


def test_initial_bytes_do_not_look_like_those_in_use(tmp_path, opened):
    idle = AREA[:576] + bytes(256)
    with opened(page_of(tmp_path, hit(1, 0, raw=idle.hex()))) as page:
        assert page.locator(".map [title='576 to 831: initial AVX']").count() == 1
        initial = style(page, ".map .kind-initial", "backgroundColor")[0]
        used = style(page, ".map .kind-in-use", "backgroundColor")[0]
        assert contrast(*initial, *used) > 3


def test_the_legends_have_the_colours_of_what_they_explain(shaded):
    shaded.fill("#number", "5")
    shaded.keyboard.press("Enter")
    ((paper,),) = style(shaded, "body", "backgroundColor")
    for name, share, column in (("live", 0.4, -2), ("memory", 0, 0)):
        border = shaded.eval_on_selector(
            f".key.{name}", "e => getComputedStyle(e, '::before').borderTopColor"
        )
        x = round(canvas_point(shaded, share, 0)[0]) + column
        assert rgb(border) in colours(shaded, x, range(22))
        assert contrast(rgb(border), paper) >= 3
    shaded.fill("#number", "1")
    shaded.keyboard.press("Enter")
    where = ".legend span"
    names = shaded.eval_on_selector_all(where, "all => all.map(s => s.nextSibling.textContent)")
    assert names == ["in use", "reserved", "padding", "header", "stale"]
    for name, ground in zip(names, style(shaded, where, "backgroundColor")):
        assert ground == style(shaded, f".map [title*=': {name} ']", "backgroundColor")[0]


def test_cells_are_shaded_by_their_share(shaded):
    alphas = shaded.eval_on_selector_all(
        ".matrix .cell", "all => all.map(e => getComputedStyle(e).backgroundColor)"
    )
    opaque = [float(re.search(r"[/,] ?([\d.]+)\)$", text)[1]) for text in alphas]
    assert opaque == pytest.approx([0.4, 0.4, 0.4 * 2 / 3, 0.4, 0.4, 0.2], abs=0.01)
    bars = shaded.eval_on_selector_all(".share", "all => all.map(e => [e.clientWidth, "
        "getComputedStyle(e).backgroundImage])")  # fmt: skip
    assert [re.findall(r"([\d.]+)%", bar)[0] for _, bar in bars] == ["60", "40"]


def test_a_change_of_scheme_or_of_paper_draws_again(made, opened):
    with opened(made, color_scheme="dark") as page:
        page.fill("#number", "5")
        page.keyboard.press("Enter")
        x = round(canvas_point(page, 0, 0)[0])

        def seen():
            return colours(page, x, range(12, 19))

        assert [0x56, 0xB4, 0xE9] in seen()
        page.emulate_media(color_scheme="light")
        page.wait_for_timeout(50)
        assert [0x00, 0x72, 0xB2] in seen()
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(50)
        page.emulate_media(color_scheme="dark", media="print")
        page.wait_for_timeout(50)
        x = round(canvas_point(page, 0, 0)[0])
        assert [0x00, 0x72, 0xB2] in seen()


def test_long_tables_are_whole_on_paper(tmp_path, opened):
    lines = [hit(n, n, pid=n, comm=f"t{n}", task=hex(n)) for n in range(1, 60)]
    with opened(page_of(tmp_path, *lines)) as page:
        hidden = "all => all.filter(e => e.scrollHeight > e.clientHeight + 1).length"
        assert page.eval_on_selector_all(".wide", hidden) > 0
        page.emulate_media(media="print")
        assert page.eval_on_selector_all(".wide", hidden) == 0


def test_the_timeline_follows_the_window_and_is_sharp(made, opened):
    with opened(made, device_scale_factor=2) as page:
        for width in (1280, 700):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(50)
            sizes = "c => [c.width, c.height, 2 * c.clientWidth, 2 * c.clientHeight]"
            drawn_wide, drawn_high, *shown = page.eval_on_selector("#hits", sizes)
            assert [drawn_wide, drawn_high] == shown


def test_the_wheel_keeps_the_time_under_the_pointer(page):
    box = page.locator("#hits").bounding_box()
    x, y = canvas_point(page, 0.25, 0)
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.wheel(0, -100)
    page.wait_for_function("document.querySelector('#span').innerText.includes('0.083 s to 0.750')")
    page.mouse.wheel(0, 100)
    page.wait_for_function("document.querySelector('#span').innerText.includes('0.000 s to 1.000')")
    page.mouse.move(box["x"] + 80, box["y"] + y)
    page.mouse.wheel(0, -100)  # on the names: the page moves
    page.wait_for_timeout(50)
    assert page.inner_text("#span") == "From 0.000 s to 1.000 s: 5 hits."


def test_a_drag_chooses_nothing_and_ends_at_the_ends(page):
    box = page.locator("#hits").bounding_box()
    page.click("[data-zoom='2']")
    for _ in range(3):
        page.click("[data-pan='0.5']")
    assert page.inner_text("#span") == "From 0.500 s to 1.000 s: 3 hits."
    x, y = canvas_point(page, 0.4, 0)  # hit 4
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.wheel(0, 100)
    page.wait_for_function("document.querySelector('#span').innerText.includes('0.250 s to 1.000')")
    x, y = canvas_point(page, 0.6, 0)  # hit 4 again
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.down()
    page.mouse.move(box["x"] + x + 30, box["y"] + y, steps=3)
    page.mouse.up()
    assert page.input_value("#number") == "1"
    page.click("[data-zoom='0']")
    page.click("#after")
    x, y = canvas_point(page, 0.25, 1)
    page.click("#hits", position={"x": x, "y": y})  # no hit is near
    assert page.input_value("#number") == "2"


def test_closer_has_an_end(page):
    many = "button => { for (let n = 0; n < 25; n++) button.click(); }"
    page.eval_on_selector("[data-zoom='2']", many)
    assert page.inner_text("#span") == "From 0.500 s to 0.500 s: 1 hit."
    page.eval_on_selector("[data-zoom='0.5']", many)
    assert page.inner_text("#span") == "From 0.000 s to 1.000 s: 5 hits."


def test_the_chosen_hit_is_marked_in_its_row(page):
    page.fill("#number", "3")
    page.keyboard.press("Enter")
    x = round(canvas_point(page, 0.5, 1)[0]) - 4
    rows = [y for y, seen in enumerate(colours(page, x, range(44))) if seen == [0x7A, 0x00, 0x99]]
    assert len(rows) > 15
    assert min(rows) >= 22


def test_the_hit_of_a_finding_comes_into_sight(page):
    page.click("[data-hit='4']")
    assert page.evaluate("document.getElementById('hit').getBoundingClientRect().top") < 30
    for number in (1, 3, 5):
        page.fill("#number", str(number))
        page.keyboard.press("Enter")
        assert "Finding" not in page.inner_text("#one")


def test_a_finger_moves_the_page(tmp_path, opened):
    """A timeline may be higher than a telephone: it must not hold who scrolls past it."""
    lines = [hit(n, n, pid=n, comm=f"t{n}", task=hex(n)) for n in range(1, 40)]
    with opened(page_of(tmp_path, *lines), has_touch=True) as page:
        page.set_viewport_size({"width": 390, "height": 600})
        page.eval_on_selector("#hits", "canvas => canvas.scrollIntoView()")
        before = page.evaluate("scrollY")
        devtools = page.context.new_cdp_session(page)
        for what, y in (("Start", 300), ("Move", 250), ("Move", 150), ("Move", 100), ("End", None)):
            points = [] if y is None else [{"x": 250, "y": y}]
            touch = {"type": f"touch{what}", "touchPoints": points}
            devtools.send("Input.dispatchTouchEvent", touch)
        page.wait_for_function("before => scrollY > before + 100", arg=before, timeout=5000)


def test_the_keyboard_is_enough(page):
    """All that has the focus shows it; Tab reaches every part."""
    page.keyboard.press("Tab")
    assert page.inner_text(":focus") == "Skip to the report"
    assert page.locator(":focus").bounding_box()["x"] >= 0
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        where, outline, stroke = page.evaluate("""() => {
          const e = document.activeElement;
          const rect = e.querySelector("rect");
          return [e.closest("section")?.id ?? e.tagName, getComputedStyle(e).outlineStyle,
            rect ? getComputedStyle(rect).strokeWidth : ""];
        }""")
        if where == "BODY":
            break
        reached.add(where)
        assert outline != "none"
        assert stroke in ("", "4px")
    assert reached >= {"report", "timeline", "hit", "components", "paths", "findings"}


def test_all_frames_are_reached_by_arrows(page):
    page.focus(".frame >> nth=0")
    names = []
    for key in ("ArrowDown", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowRight", "ArrowLeft",
                "ArrowLeft", "ArrowUp"):  # fmt: skip
        page.keyboard.press(key)
        names.append(page.get_attribute(":focus", "aria-label").split(":")[0])
    assert names == [
        *("get_sigframe", "sys_ptrace", "xfpregs_get", "sys_ptrace", "get_sigframe"),
        *("sys_ptrace", "get_sigframe", "Xorg"),
    ]
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    assert shown_frames(page)[0] == ["calc: 2 hits, 40 %", 0, 100]
    assert page.locator(".frame >> visible=true").count() == 3


def test_frames_stand_in_rows(page):
    places = page.eval_on_selector_all(
        ".frame", "all => all.map(f => [+f.dataset.depth, f.getBoundingClientRect().top])"
    )
    top = min(top for _, top in places)
    assert all(y - top == pytest.approx(20 * depth, abs=1) for depth, y in places)
    box = page.locator("#flame").bounding_box()
    assert box["height"] >= 20 * (1 + max(depth for depth, _ in places))


def test_findings_and_paths_are_sorted_and_explained(tmp_path, opened):
    audits = [{**HITS[5], "of": n} for n in (1, 2)]
    with opened(page_of(tmp_path, hit(1, 0), audits[0], hit(2, 1), audits[1])) as page:
        page.click("#found th button >> nth=0")
        assert page.inner_text("#found tbody button >> nth=0") == "2"
        assert len(page.get_attribute("#found abbr >> nth=0", "title")) > 10
        ((colour_,),) = style(page, "#found tbody tr:first-child .severity-error", "color")
        assert colour_[0] > 100 > colour_[2]
        page.click("#paths summary")
        page.click("#paths th button >> nth=0")
        assert page.get_attribute("#paths th >> nth=0", "aria-sort") == "descending"
