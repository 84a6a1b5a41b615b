"""The console's page in a real Chromium: every button, the stop by key, two browsers, reconnection, what axe finds.

Run by `make browser`, which says what is missing; SMP_CHROMIUM names a browser that is not on PATH.
"""

import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("axe_playwright_python", reason="no Playwright here: make browser installs it")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from console_party import console, episode_bag

from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph

CHROMIUM = os.environ.get("SMP_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt install chromium, or set SMP_CHROMIUM")
WAIT_MS = 60_000
PHONE = {"width": 390, "height": 844}
PAGES = ("run", "record", "data", "models", "why")
HOSTILE = "<img src=x onerror=alert(1)>"
"""A name that would be a picture, and run what it says, if it became HTML."""


@pytest.fixture(scope="module")
def chromium():
    """A browser that is there already; its libraries may lie beside it."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Episodes and a stop on the disk, some of them hostile."""
    root = tmp_path_factory.mktemp("console")
    episode_bag(root / "data" / "lift" / "episode_00000", "lift the box", 0)
    episode_bag(
        root / "data" / "x" / HOSTILE, HOSTILE, 1, quality="warn", reasons=f"warn rate: {HOSTILE}; warn {HOSTILE}"
    )
    words = {name: HOSTILE for name in ("stopped_reason", "stopped_reasons", "stopped_check", "stopped_mode", "model")}
    episode_bag(root / "stops" / "20200101_120000_fault", HOSTILE, 0, stopped="fault", **words)
    return root


@pytest.fixture(scope="module")
def running(folder):
    """A console beside the simulated graph, its recorder and its black box."""
    kept = {"record": str(folder / "data"), "blackbox": str(folder / "stops")}
    shown = "--data", str(folder / "data"), "--stops", str(folder / "stops")
    with Graph(build_graph(sim=True, **kept), folder / "log"), console(*shown) as served:
        yield served


@pytest.fixture
def window(chromium, running):
    """A function that opens the console in a browser of its own; what the page logs as an error fails the test."""
    with ExitStack() as windows:
        errors = []

        def opened(address=running.address, **options):
            context = chromium.new_context(**options)
            windows.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(WAIT_MS)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(address)
            page.wait_for_selector("button[data-verb=arm]")
            return page

        yield opened
        assert errors == []


def says(page, element, text):
    """Wait until an element says something."""
    page.wait_for_function(
        "([id, text]) => document.getElementById(id).textContent.includes(text)", arg=[element, text], timeout=WAIT_MS
    )


def stopped(page):
    says(page, "words", "Emergency stop")


def recovered(page):
    """Leave a stop by the page's own buttons."""
    page.click("button[data-verb=release]")
    says(page, "answer", "release: ")
    page.click("button[data-verb=reset]")
    says(page, "answer", "reset: ")


def test_every_button_shows_the_services_own_answer(window):
    page = window()
    assert "token" not in page.url
    assert page.locator("#verbs button").count() == 7
    for verb in ("arm", "policy", "teleop", "hold", "disarm", "release", "reset"):
        page.click(f"button[data-verb={verb}]")
        page.wait_for_function(
            "verb => { const text = document.getElementById('answer').textContent;"
            " return text.startsWith(verb + ': ') && !text.includes('waits for the answer'); }",
            arg=verb,
        )
        assert "no answer" not in page.inner_text("#answer")
        says(page, "log", f"{verb}: ")
    page.click("#stop")
    stopped(page)
    recovered(page)


@pytest.mark.parametrize("key", [" ", "Escape"])
@pytest.mark.parametrize("focus", ["body", "button[data-verb=arm]", "button[data-view=policy]", "#stop"])
def test_space_and_escape_stop_wherever_the_focus_is(window, key, focus):
    page = window()
    page.focus(focus)
    page.keyboard.press(key)
    says(page, "answer", "estop: emergency stop")
    stopped(page)
    assert "arm:" not in page.inner_text("#log").splitlines()[0]
    assert page.get_attribute("button[data-view=camera]", "aria-pressed") == "true"
    recovered(page)


def test_a_second_browser_sees_the_same_and_stops_too(window):
    desk, phone = window(), window(viewport=PHONE, color_scheme="dark")
    box = phone.locator("#stop").bounding_box()
    assert box["width"] > 340
    assert box["y"] + box["height"] <= PHONE["height"]
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    phone.mouse.wheel(0, 5000)
    assert phone.locator("#stop").bounding_box() == box
    phone.click("#stop")
    for page in (desk, phone):
        stopped(page)
        says(page, "log", "estop: emergency stop")
    recovered(desk)


def test_pictures_arrive_in_both_views(window):
    page = window()
    for view in ("camera", "policy"):
        page.click(f"button[data-view={view}]")
        page.wait_for_function(
            "() => [...document.querySelectorAll('figcaption')].every(c => / a second$/.test(c.textContent))"
        )


def turn(page, name):
    """Go to a page, and wait until it shows what is on the disk."""
    page.click(f"nav a[href='#{name}']")
    shown = {
        "record": "#counts p",
        "data": ".episode .verdict",
        "models": "#models button",
        "why": "#stopped .films figcaption",
    }
    if name in shown:
        page.wait_for_selector(shown[name])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(window, scheme, name):
    page = window(color_scheme=scheme)
    says(page, "link", "Live")
    turn(page, name)
    if name == "data":
        page.click("button[aria-label='play lift/episode_00000']")
        page.wait_for_selector("#played .films img")
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_page_fits_a_phone_and_stops_by_key(window, name):
    page = window(viewport=PHONE)
    turn(page, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.locator("#stop").bounding_box()["width"] > 340
    page.keyboard.press(" ")
    says(page, "answer", "estop: emergency stop")
    turn(page, "run")
    stopped(page)
    recovered(page)


def test_only_where_words_are_typed_a_space_is_one_and_escape_stops_there_too(window):
    page = window()
    turn(page, "record")
    page.click("#queue-text")
    page.keyboard.type("fold the towel*2")
    assert page.input_value("#queue-text") == "fold the towel*2"
    assert page.inner_text("#answer") == ""
    assert page.inner_text("#stop-keys") == "Esc"
    page.keyboard.press("Enter")
    says(page, "queue", "fold the towel 0/2")
    page.wait_for_function("() => document.getElementById('stop-keys').textContent === 'Space or Esc'")
    page.click("#queue-text")
    page.keyboard.press("Escape")
    says(page, "answer", "estop: emergency stop")
    turn(page, "run")
    recovered(page)


def test_an_episode_is_recorded_by_keys_judged_at_once_and_labelled_later(window, folder):
    page, other = window(), window()
    turn(page, "record")
    turn(other, "data")
    page.fill("#queue-text", "wave*3")
    page.press("#queue-text", "Enter")
    says(page, "queue", "wave 0/3")
    page.keyboard.press("s")
    says(page, "record-now", "Records wave")
    page.wait_for_function("() => / [1-9]\\.\\d+ s/.test(document.getElementById('record-now').textContent)")
    page.keyboard.press("f")
    says(page, "record-said", "saved")
    page.wait_for_selector("#last .verdict.reject")
    assert "reject" in page.inner_text("#last ul")
    page.wait_for_selector("#last .films img")
    says(page, "counts", "wave: 0 kept (0 with a warning), 0 failures, 1 rejected")
    page.locator("#last select[data-mark='outcome']").select_option("success")
    mark = folder / "data" / "wave" / "episode_00000" / "mark.yaml"
    other.wait_for_selector(
        "[data-episode='wave/episode_00000'] select[data-mark='outcome'] option:checked[value='success']",
        state="attached",
    )
    assert "success" in mark.read_text()
    page.keyboard.press("d")
    says(page, "answer", "record discard: discarded")
    assert not mark.parent.exists()


def test_episodes_are_filtered_and_played_under_one_slider(window):
    page = window()
    turn(page, "data")
    page.select_option("select[data-filter='task']", "lift the box")
    says(page, "data-said", "1 of ")
    page.click("button[aria-label='play lift/episode_00000']")
    picture = page.wait_for_selector("#played figure[data-camera='overview'] img")
    first = picture.get_attribute("src")
    page.locator("#played input[type='range']").fill("0.9")
    assert picture.get_attribute("src") != first
    assert "0.9" in page.inner_text("#played .now")
    page.wait_for_function("() => document.querySelector('#played img').naturalWidth === 128")


def test_a_stop_by_key_is_told_on_the_page_why(window, folder):
    page = window()
    page.keyboard.press("Escape")
    stopped(page)
    says(page, "last-stop", "_estop")
    page.click("#last-stop a")
    page.wait_for_selector("#stopped .why h2")
    page.wait_for_function("() => document.querySelector('#stopped h2')?.textContent.includes('Somebody pressed')")
    assert "smp why" in page.inner_text("#stopped code") or "smp replay" in page.inner_text("#stopped code")
    turn(page, "run")
    recovered(page)


def test_what_a_bag_says_never_becomes_html(window):
    page = window()
    turn(page, "data")
    page.click(f"button[aria-label='play x/{HOSTILE}']")
    page.wait_for_selector("#played .films img")
    turn(page, "why")
    page.click("button[data-stop='20200101_120000_fault']")
    page.wait_for_function("text => document.querySelector('#stopped .why')?.textContent.includes(text)", arg=HOSTILE)
    assert page.locator("img[src='x']").count() == 0
    assert HOSTILE in page.inner_text("#page-why")


def test_a_wrong_token_gets_a_403(chromium, running):
    context = chromium.new_context()
    assert context.new_page().goto(f"{running.origin}/?token=wrong").status == 403
    context.close()


def test_a_graph_and_a_console_that_die_are_told_apart_and_return(window, tmp_path):
    with ExitStack() as first:
        served = first.enter_context(console("--namespace", "other"))
        page = window(served.address)
        says(page, "words", "no graph is heard in namespace /other")
        with Graph(build_graph(sim=True, model="none", namespace="other"), tmp_path / "log"):
            says(page, "words", "Disarmed")
        says(page, "words", "has been silent")
        assert page.get_attribute("body", "data-gone") == "true"
    says(page, "link", "is not reached")
    page.keyboard.press(" ")
    says(page, "answer", "NOT SENT")
    with console("--namespace", "other", "--port", str(served.port)):
        says(page, "link", "Live")
        says(page, "words", "no graph is heard")
