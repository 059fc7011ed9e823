"""`ciyuan report`: one page that needs nothing else, and that a real browser shows whole, wide and narrow."""

import html
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from ciyuan.basics.errors import Malformed
from ciyuan.services.report import write_report
from tests.services.runs import QUIET, SCENARIO, copied, said, scenario_file

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CALM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-first-run",
)
HEADINGS = (
    "Power and the cost of a token",
    "Tokens made",
    "Index and curve",
    "Margin",
    "The bill, with and without the hedge",
    "What the hedged bill is made of",
    "Where the figures come from",
)
PLOTS = 5
WIDTHS = (1100, 400)


@pytest.fixture(scope="module")
def page(small_run: Path, quick_folder: Path) -> Path:
    """The report of the small run."""
    run = quick_folder / "reported"
    shutil.copytree(small_run, run)
    ended = said("report", run, "--json")
    assert ended.status == 0, ended.err
    answer = json.loads(ended.out)
    assert answer == {"report": str(run / "report.html"), "bytes": (run / "report.html").stat().st_size}
    return run / "report.html"


@pytest.fixture(scope="module")
def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


# --- the page as text ---


def test_the_page_needs_nothing_else(text):
    assert not re.findall(r'(?:src|href|data|action|srcset)\s*=\s*["\']?(?!["\']?#)', text)
    assert not re.findall(r"@import|url\((?!#)", text)
    assert "<script" not in text
    assert text.startswith("<!doctype html>")


def test_the_page_has_every_heading_and_plot(text):
    assert tuple(re.findall(r"<h2>(.*?)</h2>", text)) == HEADINGS
    assert text.count("<svg ") == PLOTS
    assert "One token-month: KIMI26, 2026-10" in text


def test_the_page_says_what_the_summary_says(text, small_said):
    summary = json.loads(small_said.out)
    shown = html.unescape(text)
    for words in (
        f"{summary['tokens_in']:,}",
        f"{summary['orders']:,}",
        f"{summary['journal_rows']:,}",
        summary["state_hash"],
        *summary["sources"].values(),
        *(bill["buyer"] for bill in summary["hedges"]),
    ):
        assert words in shown


def test_the_page_is_the_same_when_it_is_written_again(page, text):
    ended = said("report", page.parent)
    assert (ended.status, ended.out) == (0, f"report: {page}\n")
    assert page.read_text(encoding="utf-8") == text


def test_names_cannot_break_the_page(small_run, tmp_path):
    run = copied(small_run, tmp_path)
    path = run / "summary.json"
    summary = json.loads(path.read_text())
    summary["grade"] = summary["sources"]["traffic"] = summary["hedges"][0]["buyer"] = "<b>&\"'"
    path.write_text(json.dumps(summary))
    text = write_report(run).read_text()
    assert "<b>" not in text
    assert text.count("&lt;b&gt;&amp;&quot;&#x27;") >= 3


# --- runs that have no page, or less of one ---


def test_a_run_that_did_not_end_has_no_report(small_run, tmp_path):
    run = copied(small_run, tmp_path)
    (run / "summary.json").unlink()
    with pytest.raises(Malformed, match="a complete run") as caught:
        write_report(run)
    assert "--resume" in caught.value.remedy
    assert not (run / "report.html").exists()


def test_a_folder_that_is_no_run_has_no_report(tmp_path):
    ended = said("report", tmp_path)
    assert (ended.status, list(tmp_path.iterdir())) == (2, [])


def test_a_month_without_traffic_and_without_hedges_has_a_report_too(quick_folder):
    folder = quick_folder / "silent"
    folder.mkdir()
    scenario = scenario_file(folder, SCENARIO | {"requests": 0, "hedging_buyers_share": 0.0})
    ended = said("run", "--out", folder / "run", "--scenario", scenario, *QUIET)
    assert ended.status == 0, ended.err
    assert said("report", folder / "run").status == 0
    text = (folder / "run" / "report.html").read_text()
    assert text.count("<svg ") == PLOTS - 1
    assert "The bill" not in text


# --- the page in a browser ---


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser, headless."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert executable is not None, "no Chromium on this machine: `make browser` gets one, or says how"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=list(CALM))
        yield opened
        opened.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_browser_shows_the_whole_page(browser, page, width):
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    shown = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("request", lambda request: asked.append(request.url))
    shown.route(re.compile(r"^(?!file:)"), lambda route: route.abort())
    shown.goto(page.as_uri())
    try:
        headings = shown.locator("h2").all()
        assert [heading.inner_text() for heading in headings] == list(HEADINGS)
        plots = shown.locator("figure > svg").all()
        assert len(plots) == PLOTS
        for element in (*headings, *plots):
            assert element.is_visible()
            box = element.bounding_box()
            assert box is not None
            assert 0 < box["width"] <= width
            assert box["height"] > 0
            assert box["x"] >= 0
        for plot in plots:
            painted = plot.evaluate("svg => svg.getBBox().width / svg.viewBox.baseVal.width")
            assert painted > 0.9
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert complaints == []
        assert asked == [page.as_uri()]
    finally:
        context.close()


def test_wide_tables_scroll_by_themselves_on_a_narrow_screen(browser, page):
    context = browser.new_context(viewport={"width": 400, "height": 900}, offline=True)
    shown = context.new_page()
    shown.goto(page.as_uri())
    try:
        widths = shown.locator(".scroll").evaluate_all(
            "tables => tables.map(table => [table.clientWidth, table.scrollWidth])"
        )
        assert all(inner <= 400 for inner, _ in widths)
        assert any(outer > inner for inner, outer in widths)
    finally:
        context.close()
