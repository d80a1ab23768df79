"""The page in headless Chromium: it opens from disk, draws, and answers pointer and keyboard."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect, sync_playwright
from playwright.sync_api import Page as Tab
from test_page import sample_calibration, sample_page, sample_study

from tools.page import Page, render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here; as root: make system-packages"
)

PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)

INK = {"light": "rgb(29, 36, 48)", "dark": "rgb(227, 231, 237)"}  # --ink of page.css

LOUD = ("error", "warning")
AT_HAND = ("file:", "data:", "blob:", "about:")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Tab]:
    """One tab for all tests, since each new one takes a second or two to compile plotly."""
    with (
        sync_playwright() as playwright,
        # No sandbox: root, as which CI runs, can have none.
        playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False) as browser,
        browser.new_page(reduced_motion="reduce", offline=True) as tab,
    ):
        tab.set_default_timeout(PATIENCE_MS)
        yield tab


@pytest.fixture(scope="module")
def complaints(chromium) -> list[str]:
    """What a console would show in red or yellow, and what was asked of the network."""
    heard = []
    chromium.on("console", lambda said: said.type in LOUD and heard.append(said.text))
    chromium.on("pageerror", lambda error: heard.append(str(error)))
    chromium.on("request", lambda asked: asked.url.startswith(AT_HAND) or heard.append(asked.url))
    return heard


@pytest.fixture
def tab(chromium, complaints) -> Tab:
    chromium.goto("about:blank")
    complaints.clear()
    look(chromium, 1400)
    return chromium


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return written(sample_page(), tmp_path_factory.mktemp("page"))


@pytest.fixture
def opened(tab, path) -> Tab:
    visit(tab, path)
    return tab


def look(tab: Tab, width: int, scheme: str = "light") -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)


def written(page: Page, folder: Path) -> Path:
    file = folder / "kws report.html"
    file.write_text(render(page), encoding="utf-8")
    return file


def visit(tab: Tab, file: Path, anchor: str = "") -> None:
    tab.goto(file.as_uri() + anchor)
    tab.locator("html[data-drawn]").wait_for()


def mark(tab: Tab, key: str) -> Locator:
    """A candidate's mark in the plot of the front, found by what plotly keeps with it."""
    marks = tab.locator("#plot-front .point")
    keys = marks.evaluate_all("(marks) => marks.map((mark) => mark.__data__.data)")
    return marks.nth(keys.index(key))


def hover(tab: Tab, key: str) -> Locator:
    """What the front's plot tells of a candidate under the pointer."""
    mark(tab, key).hover(force=True)  # plotly lays one surface over all marks
    told = tab.locator("#plot-front .hoverlayer .hovertext")
    expect(told).to_be_visible()
    return told


def front_member():
    return max((t for t in sample_study().trials if t.on_front), key=lambda t: t.latency_ms)


@pytest.mark.parametrize(
    "harm", ["console.warn(1)", "console.error(1)", "throw 1", "fetch('https://ponas.invalid')"]
)
def test_a_complaint_is_heard(tab, complaints, harm):
    tab.set_content(f"<script>{harm}</script>")
    assert complaints != []


def test_opens_from_disk_and_draws_every_plot_without_a_complaint(opened, complaints):
    assert opened.evaluate("location.protocol") == "file:"
    page = opened.locator("html")
    assert page.get_attribute("data-drawn") == "9"
    assert page.get_attribute("data-problems") is None
    assert opened.locator(".plot .main-svg").count() >= 8
    assert opened.locator("#plot-front .points path").count() >= 37
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400, 2000])
def test_fits_its_window_in_both_schemes(tab, complaints, path, width, scheme):
    look(tab, width, scheme)
    visit(tab, path)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    boxes = [plot.bounding_box() for plot in tab.locator(".plot").all()]
    assert max(box["x"] + box["width"] for box in boxes) <= width
    expect(tab.locator("#plot-front .xtitle")).to_have_css("fill", INK[scheme])
    assert complaints == []


def test_on_a_phone_every_row_is_a_card_of_names_and_numbers(tab, path):
    look(tab, 400)
    visit(tab, path)
    cells = tab.locator(".cards td.n:visible")
    shown = cells.evaluate_all("(cells) => cells.map((cell) => getComputedStyle(cell).display)")
    assert set(shown) == {"flex"}


def test_no_button_of_a_plot_sends_it_anywhere(opened):
    buttons = opened.locator(".modebar-btn").all()
    titles = ", ".join(button.get_attribute("data-title") for button in buttons)
    assert "Zoom" in titles
    assert not any(word in titles.lower() for word in ("share", "cloud", "plotly", "edit"))


def test_follows_a_change_of_scheme(opened, complaints):
    opened.emulate_media(color_scheme="dark")
    expect(opened.locator("#plot-front .xtitle")).to_have_css("fill", INK["dark"])
    assert complaints == []


def test_hovering_tells_the_architecture(opened):
    member = front_member()
    told = hover(opened, str(member.number)).text_content()
    assert member.architecture.split()[0] in told
    assert f"trial {member.number}" in told


def test_a_click_on_a_point_pins_it_and_shows_its_kernels_and_curve(opened, complaints):
    member = front_member()
    hover(opened, str(member.number))
    opened.mouse.down()
    opened.mouse.up()
    selected = opened.locator("#selected")
    expect(selected.locator("h3")).to_be_visible()
    expect(selected).to_contain_text(member.architecture)
    expect(selected).to_contain_text(member.kernels[0].schedule)
    expect(selected.locator("tbody tr")).to_have_count(7)
    expect(selected.locator("#plot-curve .main-svg").first).to_be_visible()
    assert opened.evaluate("location.hash") == f"#trial-{member.number}"
    assert complaints == []


def test_the_keyboard_reaches_a_row_and_selects_it(opened):
    reached = opened.locator("[data-select]:focus")
    for _ in range(40):
        opened.keyboard.press("Tab")
        if reached.count():
            break
    key = reached.get_attribute("data-select")
    opened.keyboard.press("Enter")
    expect(opened.locator("#selected h3")).to_be_focused()
    expect(opened.locator("tr.selected button").first).to_have_attribute("data-select", key)


def test_an_address_names_a_trial_and_unpin_forgets_it(tab, path):
    visit(tab, path, "#seed")
    head = tab.locator("#selected h3")
    expect(head).to_have_text("Seed architecture")
    tab.get_by_role("button", name="Unpin").click()
    expect(head).to_have_count(0)
    assert tab.evaluate("location.hash") == ""


def test_hostile_text_runs_nothing(tab, complaints, tmp_path):
    harm = "<img src=x onerror=document.title='harmed'><script>document.title='harmed'"
    hostile = f"</script ></script>{harm}"
    study = sample_study()
    first = dataclasses.replace(study.trials[0], architecture=hostile)
    study = dataclasses.replace(study, trials=(first, *study.trials[1:]))
    page = Page(title=hostile, made=hostile, study=study)
    visit(tab, written(page, tmp_path), "#trial-0")
    assert tab.title() == hostile
    assert hostile in tab.locator("#selected").inner_text()
    assert tab.locator("img").count() == 0
    assert complaints == []


def test_a_calibration_alone_is_a_page_whose_networks_are_told_one_by_one(
    tab, complaints, tmp_path
):
    calibration = sample_calibration()
    look(tab, 400)
    visit(tab, written(Page(title="odroid", made="now", calibration=calibration), tmp_path))
    expect(tab.locator(".plot .main-svg").first).to_be_visible()
    row = tab.get_by_role("row").filter(has_text=calibration.held_out[0].name).first
    expect(row).to_be_hidden()
    tab.get_by_text("30 held-out networks").click()
    expect(row).to_contain_text("+13.0 %")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    assert complaints == []


def test_a_thousand_trials_are_drawn_within_patience(tab, complaints, tmp_path):
    page = Page(title="many", made="now", study=sample_study(trials=1000))
    visit(tab, written(page, tmp_path))
    assert tab.evaluate("performance.now()") < PATIENCE_MS
    assert complaints == []
