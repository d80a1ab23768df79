"""The page in headless Chromium: it opens from disk, draws, and answers pointer and keyboard."""

import base64
import dataclasses
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from test_page import sample_page, sample_study

from tools.page import Page, render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here; as root: make system-packages"
)

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip

PATIENCE_S = 60


class Browser:
    """One tab of Chromium, driven over DevTools' own pipe: JSON, each message ended by a NUL."""

    def __init__(self, folder: Path) -> None:
        command_read, self._write = os.pipe()
        self._read, reply_write = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4; the shell moves ours there.
        # They are moved high first, for they may be 3 and 4 themselves, the wrong way round.
        shell = f'exec 8<&{command_read} 9>&{reply_write} 3<&8 4>&9; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", CHROMIUM, *FLAGS, f"--user-data-dir={folder}"],
            pass_fds=(command_read, reply_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_read)
        os.close(reply_write)
        self._rest = b""
        self._last = 0
        self._session = None
        self.events: list[dict] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict:
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._receive()
            if reply.get("id") == self._last:
                assert "error" not in reply, reply
                return reply["result"]
            self.events.append(reply)

    def _receive(self) -> dict:
        deadline = time.monotonic() + PATIENCE_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0, deadline - time.monotonic()))
            assert ready, "chromium does not answer"
            received = os.read(self._read, 1 << 20)
            assert received, "chromium has ended"
            self._rest += received
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def evaluate(self, expression: str):
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"never came true: {expression}"
            time.sleep(0.05)

    def look(self, width: int, height: int = 900, scheme: str = "light") -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[scheme_feature, still])

    def open(self, path: Path, anchor: str = "") -> None:
        self.call("Page.navigate", url="about:blank")
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri() + anchor)
        self.wait_for("document.documentElement?.dataset.drawn !== undefined")

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        self.mouse("mouseMoved", x, y)
        time.sleep(0.15)  # plotly takes up a pointer's move at its next frame
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def press(self, key: str, code: int, text: str = "") -> None:
        named = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        typed = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **named, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def screenshot(self, path: Path) -> None:
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self) -> list[dict]:
        """What a console would show in red or yellow, and what was asked of the network."""
        self.evaluate("1")
        found = []
        for event in self.events:
            method, facts = event.get("method"), event.get("params", {})
            asked = facts.get("request", {}).get("url", "")
            if (
                method == "Runtime.exceptionThrown"
                or (method == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning"))
                or (method == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"))
                or (asked and not asked.startswith(("file:", "data:", "blob:", "about:")))
            ):
                found.append(facts)
        return found

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(tmp_path_factory.mktemp("chromium"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("page") / "kws report.html"
    file.write_text(render(sample_page()), encoding="utf-8")
    return file


@pytest.fixture
def opened(browser, path) -> Browser:
    browser.look(1400)
    browser.open(path)
    return browser


def place_of(browser: Browser, plot: str, key: str) -> dict:
    """Where on the screen a point of a plot is, scrolled into view."""
    browser.evaluate(f"document.getElementById('plot-{plot}').scrollIntoView({{block: 'center'}})")
    return browser.evaluate(
        f"""(() => {{
          const place = document.getElementById('plot-{plot}');
          const trace = place.data.find((t) => (t.customdata || []).includes('{key}'));
          const at = trace.customdata.indexOf('{key}');
          const {{ xaxis, yaxis }} = place._fullLayout;
          const box = place.querySelector('.nsewdrag').getBoundingClientRect();
          return {{ x: box.left + xaxis.d2p(trace.x[at]), y: box.top + yaxis.d2p(trace.y[at]) }};
        }})()"""
    )


def front_member():
    return max((t for t in sample_study().trials if t.on_front), key=lambda t: t.latency_ms)


def test_opens_from_disk_and_draws_every_plot_without_a_complaint(opened):
    assert opened.evaluate("location.protocol") == "file:"
    assert opened.evaluate("document.documentElement.dataset.drawn") == "9"
    assert opened.evaluate("document.querySelectorAll('.plot .main-svg').length") >= 8
    points = opened.evaluate("document.querySelectorAll('#plot-front .points path').length")
    assert points >= 37
    assert opened.evaluate("document.documentElement.dataset.problems ?? null") is None
    assert opened.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400, 2000])
def test_fits_its_window_in_both_schemes(browser, path, width, scheme):
    browser.look(width, scheme=scheme)
    browser.open(path)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    wide = browser.evaluate(
        "Math.max(...[...document.querySelectorAll('.plot')]"
        ".map((plot) => plot.getBoundingClientRect().right))"
    )
    assert wide <= width
    ink = browser.evaluate("document.getElementById('plot-front')._fullLayout.font.color")
    assert (int(ink[1:3], 16) > 128) == (scheme == "dark")
    assert browser.complaints() == []


def test_no_button_of_a_plot_sends_it_anywhere(opened):
    titles = opened.evaluate(
        "[...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title).join(', ')"
    )
    assert "Zoom" in titles
    assert not any(word in titles.lower() for word in ("share", "cloud", "plotly", "edit"))


def test_follows_a_change_of_scheme(opened):
    opened.look(1400, scheme="dark")
    opened.wait_for("document.getElementById('plot-front')._fullLayout.font.color > '#8'")
    assert opened.complaints() == []


def test_hovering_tells_the_architecture(opened):
    member = front_member()
    spot = place_of(opened, "front", str(member.number))
    opened.mouse("mouseMoved", spot["x"] - 40, spot["y"])
    opened.mouse("mouseMoved", spot["x"], spot["y"])
    opened.wait_for("document.querySelector('#plot-front .hoverlayer .hovertext') !== null")
    told = opened.evaluate("document.querySelector('#plot-front .hoverlayer').textContent")
    assert member.architecture.split()[0] in told
    assert f"trial {member.number}" in told


def test_a_click_on_a_point_pins_it_and_shows_its_kernels_and_curve(opened):
    member = front_member()
    spot = place_of(opened, "front", str(member.number))
    opened.click(spot["x"], spot["y"])
    opened.wait_for("document.querySelector('#selected h3') !== null")
    told = opened.evaluate("document.getElementById('selected').innerText")
    assert member.architecture in told
    assert member.kernels[0].schedule in told
    assert opened.evaluate("document.querySelectorAll('#selected tbody tr').length") == 7
    opened.wait_for("document.querySelector('#plot-curve .main-svg') !== null")
    assert opened.evaluate("location.hash") == f"#trial-{member.number}"
    assert opened.complaints() == []


def test_the_keyboard_reaches_a_row_and_selects_it(opened):
    opened.evaluate("document.body.focus()")
    for _ in range(40):
        opened.press("Tab", 9)
        if opened.evaluate("document.activeElement.dataset.select !== undefined"):
            break
    key = opened.evaluate("document.activeElement.dataset.select")
    opened.press("Enter", 13, "\r")
    opened.wait_for("document.querySelector('#selected h3') !== null")
    assert opened.evaluate("document.querySelector('tr.selected button').dataset.select") == key
    assert opened.evaluate("document.activeElement.tagName") == "H3"


def test_an_address_names_a_trial_and_unpin_forgets_it(browser, path):
    browser.look(1400)
    browser.open(path, "#seed")
    assert (
        browser.evaluate("document.querySelector('#selected h3').innerText") == "Seed architecture"
    )
    browser.evaluate("document.querySelector('#selected .close').click()")
    browser.wait_for("document.querySelector('#selected h3') === null")
    assert browser.evaluate("location.hash") == ""


def test_hostile_text_runs_nothing(browser, tmp_path):
    harm = "<img src=x onerror=document.title='harmed'><script>document.title='harmed'"
    hostile = f"</script ></script>{harm}"
    study = sample_study()
    first = dataclasses.replace(study.trials[0], architecture=hostile)
    study = dataclasses.replace(study, trials=(first, *study.trials[1:]))
    file = tmp_path / "page.html"
    file.write_text(render(Page(title=hostile, made=hostile, study=study)), encoding="utf-8")
    browser.look(1400)
    browser.open(file, "#trial-0")
    assert browser.evaluate("document.title") == hostile
    assert hostile in browser.evaluate("document.getElementById('selected').innerText")
    assert browser.evaluate("document.images.length") == 0
    assert browser.complaints() == []


def test_a_thousand_trials_are_drawn_within_patience(browser, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(
        render(Page(title="many", made="now", study=sample_study(trials=1000))), encoding="utf-8"
    )
    browser.look(1400)
    browser.open(file)
    drawn_ms = browser.evaluate("performance.now()")
    assert drawn_ms < 1000 * PATIENCE_S
    assert browser.complaints() == []
