"""The HTML report in a real headless Chromium: opened, clicked through, printed, no network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from browser import emulate, opened, sized, until
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from memprobe.contrasts import Contrast, ContrastReport, Measure, ScriptSide, Spread, StepRow
from memprobe.contrasts import Verdict as ContrastVerdict
from memprobe.findings import (
    Account,
    Created,
    Finding,
    HeldObject,
    HolderRow,
    Holding,
    LastUse,
    NotMeasured,
    PathStep,
    ProcessAccount,
    Reclaim,
    RecordingSummary,
    Report,
    SparkCacheRow,
    SparkExecutorRow,
    SparkReport,
)
from memprobe.histories import ContrastHistory, History, Series, Span, Stack
from memprobe.reporters import html

MIB = 2**20
HOSTILE = "<script>hacked=1</script>"
LINKED = '<a href="#r0">x</a>'  # Plotly would make a link of it

pytestmark = [
    pytest.mark.skipif(browser.missing() is not None, reason=str(browser.missing())),
]


def frame() -> HeldObject:
    return HeldObject(type="pandas.DataFrame", shape=[1000, 5])


def holder(name: str, mib: int, *more: str) -> HolderRow:
    return HolderRow(
        exprs=[name, *more], roots=["notebook-namespace"], object=frame(),
        exclusive_bytes=mib * MIB, shared_bytes=0, created=Created(cell=2),
        last_used=LastUse(cell=4, seconds_ago=3.0),
    )  # fmt: skip


def report() -> Report:
    finding = Finding(
        code="MP202", name="stale-variable", status="suspect", title="`df` was not used",
        context="notebook", object=frame(), exclusive_bytes=300 * MIB, shared_bytes=0,
        holders=[Holding(root="notebook-namespace", expr="df")],
        reclaim=Reclaim(bytes=300 * MIB, low=300 * MIB, high=300 * MIB),
        path=[PathStep(type="pandas.DataFrame", edge="df", cut=True)], fix="del df",
    )  # fmt: skip
    return Report(
        recording=RecordingSummary(
            path="x", format=1, context="notebook", program=HOSTILE, pid=7, start=1e9, wall=60.0,
            snapshots=2, rss=900 * MIB, peak=1000 * MIB, limit=1200 * MIB,
        ),
        account=Account(processes=[ProcessAccount(pid=7, role="driver-python", rss=900 * MIB)]),
        findings=[finding], holders=[holder("df", 300), holder(HOSTILE, 200), holder(LINKED, 100)],
        not_measured=[NotMeasured(what="native memory", why="nobody looked")],
        spark=SparkReport(
            executors=[SparkExecutorRow(id="0", used=100 * MIB, max=400 * MIB)],
            caches=[SparkCacheRow(kind="dataframe", rdd=3, memory=60 * MIB, holders=[HOSTILE],
                                  executors={"0": [60 * MIB, 0]})],
        ),
    )  # fmt: skip


def history() -> History:
    return History(
        wall=60.0,
        rss=[[float(at), (300 + 10 * at) * MIB] for at in range(61)],
        live=[[10.0, 200 * MIB], [50.0, 600 * MIB]],
        held=Stack(times=[10.0, 50.0], names=["df", HOSTILE],
                   values=[[200 * MIB, 300 * MIB], [0.0, 300 * MIB]]),
        processes=[Series(name="driver-jvm", points=[[0.0, MIB], [60.0, 2 * MIB]])],
        steps=[Span(name="cell 1", start=1.0, end=20.0), Span(name=HOSTILE, start=25.0, error="E")],
    )  # fmt: skip


def contrast() -> ContrastReport:
    told = report()
    live = Measure(name="live", unit="bytes", first=300.0 * MIB, judgement="more",
                   script=Spread(median=100.0 * MIB, low=1, high=2, runs=3))  # fmt: skip
    return ContrastReport(
        recording=told.recording, account=told.account, findings=told.findings,
        holders=told.holders,
        contrast=Contrast(
            verdict=ContrastVerdict(kind="notebook-keeps", text="it keeps", type=["del df"]),
            steps=[StepRow(name="cell 1", live=live), StepRow(name=HOSTILE, live=live)],
            totals={"live": live}, script=ScriptSide(program=HOSTILE, processes=1),
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    script = History(rss=[[0.0, 100.0 * MIB], [20.0, 300.0 * MIB]], live=[[20.0, 100.0 * MIB]])
    texts = {
        "report": html.render([(report(), history())]),
        "contrast": html.render_contrast(
            contrast(), ContrastHistory(notebook=history(), scripts=[script], shifts=[1.0])
        ),
        "two": html.render([(report(), history()), (report(), History())]),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with browser.started(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def page(chromium: webdriver.Chrome, pages: dict[str, Path]) -> Iterator[webdriver.Chrome]:
    """The report, opened anew, of which nothing has gone wrong in the end."""
    emulate(chromium)
    sized(chromium, 1280)
    forget(chromium)
    opened(chromium, pages["report"])
    yield chromium
    assert complaints(chromium) == []


def forget(driver: webdriver.Chrome) -> None:
    for kind in ("browser", "performance"):
        driver.get_log(kind)


def complaints(driver: webdriver.Chrome) -> list[str]:
    return [one["message"] for one in driver.get_log("browser")]


def requested(driver: webdriver.Chrome) -> list[str]:
    events = [json.loads(one["message"])["message"] for one in driver.get_log("performance")]
    sent = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
    return [one["request"]["url"] for one in sent]


def find(driver: webdriver.Chrome, selector: str):
    return driver.find_element(By.CSS_SELECTOR, selector)


def texts(driver: webdriver.Chrome, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
    return driver.execute_script(script, selector)


@pytest.mark.parametrize("name", ["report", "contrast", "two"])
def test_it_opens_without_a_complaint_or_a_request_and_runs_no_name(chromium, pages, name) -> None:
    emulate(chromium)
    forget(chromium)

    opened(chromium, pages[name])

    assert complaints(chromium) == []
    assert [url for url in requested(chromium) if not url.startswith("data:")] == [
        pages[name].as_uri()
    ]
    assert chromium.execute_script("return typeof hacked") == "undefined"
    drawn = len(chromium.find_elements(By.CSS_SELECTOR, ".chart .main-svg"))
    assert drawn >= len(chromium.find_elements(By.CSS_SELECTOR, ".chart")) >= 2


def test_a_name_like_a_script_is_read_as_it_is(page) -> None:
    assert find(page, "h1").text == HOSTILE
    assert page.title == f"{HOSTILE} · memprobe"
    tiles = texts(page, ".treemap g.slicetext")
    assert any(HOSTILE in tile for tile in tiles)
    assert any(LINKED in tile for tile in tiles)
    assert page.find_elements(By.CSS_SELECTOR, ".chart a") == []
    find(page, "[data-view=holders]").click()
    assert HOSTILE in texts(page, ".timeline .legendtext")


def test_a_script_that_got_in_would_not_run(page) -> None:
    page.execute_script(
        "const one = document.createElement('script'); one.textContent = 'hacked = 1';"
        "document.body.append(one);"
    )

    assert page.execute_script("return typeof hacked") == "undefined"
    assert "Content Security Policy" in "".join(complaints(page))


def test_a_click_on_a_tile_shows_its_holder(page) -> None:
    assert find(page, ".holder-detail:not([hidden]) h3").text == "df"
    tile = page.execute_script(
        "return [...document.querySelectorAll('.treemap g.slice')]"
        ".find((one) => one.textContent.includes(arguments[0]))",
        HOSTILE,
    )

    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", tile)
    tile.click()
    until(page, "return document.querySelector('tr.picked').dataset.row === '1'")

    assert find(page, ".holder-detail:not([hidden]) h3").text == HOSTILE
    assert find(page, "tr.picked .pick").get_attribute("aria-pressed") == "true"
    assert len(page.find_elements(By.CSS_SELECTOR, ".holder-detail:not([hidden])")) == 1


GROUP_CLICKED = """
const all = [...document.querySelectorAll(".treemap g.slice")];
const group = all.find((one) => one.textContent.startsWith("notebook namespace"));
const path = group.querySelector("path"), box = path.getBoundingClientRect();
const there = { bubbles: true, clientX: box.x + 9, clientY: box.y + 9 };
path.dispatchEvent(new MouseEvent("click", there));
let frames = 0;
const wait = () => {
  frames += 1;
  if (frames < 20) requestAnimationFrame(wait); else window.waited = true;
};
wait();
"""


def test_a_click_on_a_group_of_tiles_neither_zooms_nor_chooses(page) -> None:
    page.execute_script(GROUP_CLICKED)
    until(page, "return window.waited")

    level = "return document.querySelector('.treemap')._fullData[0].level || 'all'"
    assert page.execute_script(level) == "all"
    assert find(page, ".holder-detail:not([hidden]) h3").text == "df"


def test_every_holder_can_be_chosen_with_the_keyboard_alone(page) -> None:
    page.execute_script("document.querySelector('.pick[data-row=\"2\"]').focus()")
    page.switch_to.active_element.send_keys(Keys.ENTER)

    assert find(page, ".holder-detail:not([hidden]) h3").text == LINKED
    link = find(page, "#r0-holder-0 a")
    page.execute_script("document.querySelector('.pick[data-row=\"0\"]').click()")
    link.send_keys(Keys.ENTER)
    assert page.execute_script("return location.hash") == "#r0-findings-0"


def test_the_views_over_time_are_tabs_that_answer_the_arrow_keys(page) -> None:
    tab = find(page, "[role=tab][aria-selected=true]")
    assert tab.text == "RSS and live bytes"
    tab.send_keys(Keys.ARROW_RIGHT)

    assert page.switch_to.active_element.text == "By holder"
    assert find(page, "[role=tab][aria-selected=true]").text == "By holder"
    until(page, "return document.querySelector('.timeline .legend').textContent.includes('df')")
    page.switch_to.active_element.send_keys(Keys.END)
    until(page, "return document.querySelector('.timeline .legend').textContent.includes('JVM')")
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert page.switch_to.active_element.text == "RSS and live bytes"
    panel = find(page, "[role=tabpanel]")
    assert panel.get_attribute("aria-labelledby") == "r0-tab-total"


def test_zooming_needs_no_mouse(page) -> None:
    shown = "return document.querySelector('.timeline').layout.xaxis.range"
    assert page.execute_script(shown) == [0, 60]

    find(page, "[data-zoom=in]").send_keys(Keys.ENTER)
    until(page, f"{shown}[0] === 15")
    assert page.execute_script(shown) == [15, 45]
    find(page, "[data-zoom=later]").send_keys(Keys.ENTER)
    until(page, f"{shown}[1] === 60")
    assert page.execute_script(shown) == [30, 60]
    for _ in range(4):  # no further than to the beginning
        find(page, "[data-zoom=earlier]").send_keys(Keys.ENTER)
    until(page, f"{shown}[0] === 0")
    assert page.execute_script(shown) == [0, 30]
    find(page, "[data-zoom=all]").send_keys(Keys.ENTER)
    until(page, f"{shown}[1] === 60")
    assert page.execute_script(shown) == [0, 60]


def test_everything_that_acts_is_reached_by_the_tab_key_and_has_a_name(page) -> None:
    body = find(page, "body")
    page.execute_script("document.body.tabIndex = -1; document.body.focus()")
    reached = []
    for _ in range(60):
        page.switch_to.active_element.send_keys(Keys.TAB)
        active = page.switch_to.active_element
        if active == body or active.id in [one.id for one, _ in reached]:
            break
        assert active.is_displayed()
        reached.append((active, active.accessible_name))

    names = [name for _, name in reached]
    assert names[0] == "Skip to the report"
    assert all(names)
    for name in ("Holders", "RSS and live bytes", "Zoom in", "All", "df", HOSTILE):
        assert name in names


def test_pictures_and_regions_have_names_that_say_what_they_show(page) -> None:
    names = [one.accessible_name for one in page.find_elements(By.CSS_SELECTOR, "[role=img]")]

    assert names[0].startswith("Memory over 1 min: RSS between 300.0 MiB and 900.0 MiB")
    assert names[1].startswith("Treemap of 3 holders")
    assert names[2] == "Storage memory of 1 executor: 100.0 MiB in use, the fullest 100.0 MiB."
    sections = page.find_elements(By.CSS_SELECTOR, "section, article, nav, table")
    assert all(one.accessible_name for one in sections if one.tag_name != "table")


CONTRAST = """
const lum = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ground = (e) => { for (let one = e; one; one = one.parentElement) {
  const c = getComputedStyle(one).backgroundColor;
  if (!/, 0\\)$/.test(c) && c !== "transparent") return c; } return "rgb(255,255,255)"; };
const bad = [];
for (const e of document.querySelectorAll("main *, header *, footer *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || e.closest("svg") || !e.checkVisibility()) continue;
  const [a, b] = [lum(getComputedStyle(e).color), lum(ground(e))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) bad.push([e.outerHTML.slice(0, 80), ratio.toFixed(2)]);
}
return bad;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(chromium, pages, scheme) -> None:
    emulate(chromium, scheme=scheme)
    for name in ("report", "contrast"):
        opened(chromium, pages[name])

        assert chromium.execute_script(CONTRAST) == []


def test_it_follows_the_readers_colours_while_it_is_open(page) -> None:
    shown = "return getComputedStyle(document.querySelector('.timeline .xtick text')).fill"
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = page.execute_script(shown), page.execute_script(ground)

    emulate(page, scheme="dark")
    until(page, f"{shown} !== arguments[0]", light[0])

    assert page.execute_script(ground) != light[1]
    emulate(page, scheme="light")
    until(page, f"{shown} === arguments[0]", light[0])


@pytest.mark.parametrize("width", [320, 390, 768, 1600])
def test_no_width_of_a_window_makes_the_page_scroll_sideways(page, width) -> None:
    sized(page, width)
    until(
        page,
        "const one = document.querySelector('.timeline');"
        "return Math.abs(one.querySelector('.main-svg').clientWidth - one.clientWidth) < 2",
    )

    wide = page.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )

    assert wide[0] <= wide[1]


ON_PAPER = """
addEventListener("beforeprint", () => { window.told = [document.querySelector("details").open,
  getComputedStyle(document.documentElement).getPropertyValue("--bg")]; });
"""


def test_on_paper_there_is_everything_in_light_and_nothing_to_press(page) -> None:
    emulate(page, scheme="dark")
    page.execute_script("document.querySelector('details').open = false")
    page.execute_script(ON_PAPER)

    paper = page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})

    assert base64.b64decode(paper["data"]).startswith(b"%PDF")
    until(page, "return window.told")
    assert page.execute_script("return window.told") == [True, "#f6f7f9"]
    until(page, "return !document.documentElement.classList.contains('printing')")
    emulate(page, media="print")
    assert not find(page, ".zoom").is_displayed()
    assert not find(page, ".bar").is_displayed()
    emulate(page)


def test_both_contexts_lie_over_each_other(chromium, pages) -> None:
    emulate(chromium)
    opened(chromium, pages["contrast"])

    assert find(chromium, "[role=tab][aria-selected=true]").text == "Notebook and script"
    legend = texts(chromium, ".timeline .legendtext")
    assert legend == ["notebook: RSS", "notebook: live", "script: RSS", "script: live"]
    find(chromium, "[data-view=steps]").click()
    until(chromium, "return document.querySelector('.timeline .xtick')")
    assert HOSTILE in texts(chromium, ".timeline .xtick")
    assert complaints(chromium) == []


def test_the_pictures_of_each_recording_are_its_own(chromium, pages) -> None:
    emulate(chromium)
    opened(chromium, pages["two"])

    charts = chromium.find_elements(By.CSS_SELECTOR, ".timeline")
    assert [one.get_attribute("data-article") for one in charts] == ["r0"]
    chromium.execute_script("document.querySelector('#r1 .pick[data-row=\"1\"]').click()")
    picked = chromium.find_elements(By.CSS_SELECTOR, "tr.picked .pick")
    assert [one.get_attribute("data-article") for one in picked] == ["r0", "r1"]
    assert [one.get_attribute("data-row") for one in picked] == ["0", "1"]
