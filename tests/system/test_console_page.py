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
from console_party import console

from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph

CHROMIUM = os.environ.get("SMP_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt install chromium, or set SMP_CHROMIUM")
WAIT_MS = 60_000
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium():
    """A browser that is there already; its libraries may lie beside it."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A console beside the simulated graph."""
    log = tmp_path_factory.mktemp("console") / "log"
    with Graph(build_graph(sim=True), log), console() as served:
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(window, scheme):
    page = window(color_scheme=scheme)
    says(page, "link", "Live")
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


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
