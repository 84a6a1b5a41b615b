"""A newcomer's path through `smp console`, without `ros2`: records, trains, runs, stops by a key, finds out why.

`python tools/console_path.py` starts `smp up --sim` and `smp console` in a folder of their own, walks through the pages
in the machine's Chromium (SMP_CHROMIUM), and leaves what was seen on a desk and on a phone in docs/images.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from playwright.sync_api import Error, Page, sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
TASK, EPISODES, STEPS = "press_two_buttons", 3, 20
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
WAIT_MS, ANSWER_S = 180_000, 90
TOKEN = "a-token-for-the-newcomer"
GRAPH = ("up", "--sim", "--teleop", "--record", "data/demos", "--task", TASK)


@contextmanager
def running(folder: Path, log: str, *words: str) -> Iterator[subprocess.Popen]:
    """Run `smp` with some words until the block ends."""
    with (folder / log).open("w") as out:
        process = subprocess.Popen([*smp(), *words], cwd=folder, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def smp() -> tuple[str, ...]:
    """Return the command of this checkout."""
    return sys.executable, "-m", "smp_bringup.cli.main"


def says(page: Page, element: str, pattern: str) -> str:
    """Wait until an element says what a pattern finds; return all that it says."""
    page.wait_for_function(
        "([id, text]) => new RegExp(text).test(document.getElementById(id).textContent)",
        arg=[element, pattern],
        timeout=WAIT_MS,
    )
    return page.inner_text(f"#{element}")


def ask(page: Page, verb: str, want: str, where: str = "") -> bool:
    """Press a button until its answer is the one that is wanted; return whether it was before a fault."""
    end = time.monotonic() + ANSWER_S
    while time.monotonic() < end:
        page.click(f"{where} button[data-verb='{verb}']:visible")
        answer = says(page, "answer", f"^{verb}: (?!asked)")
        if re.search(want, answer):
            return True
        if "fault" in answer:
            return False
        page.wait_for_timeout(500)
    raise SystemExit(answer)


def recover(page: Page) -> None:
    """Leave a fault, as a machine that is too busy for a simulation brings about."""
    here = page.evaluate("location.hash")
    page.click("nav a[href='#run']")
    page.click("#verbs button[data-verb='reset']")
    says(page, "answer", "^reset: (?!asked)")
    page.click(f"nav a[href='{here}']")


def shot(page: Page, name: str) -> None:
    """Keep what is seen, on a desk and on a phone."""
    for size, suffix in ((DESK, ""), (PHONE, "_phone")):
        page.set_viewport_size(size)
        page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_timeout(1000)
        page.screenshot(path=IMAGES / f"console_{name}{suffix}.png")
    page.set_viewport_size(DESK)
    print(f"seen: {name}", flush=True)


def record(page: Page) -> None:
    """Record episodes on the page Record; the scripted operator stands in for the newcomer's hands."""
    page.click("nav a[href='#record']")
    page.fill("#queue-text", f"{TASK}*{EPISODES}")
    page.press("#queue-text", "Enter")
    says(page, "queue", f"/{EPISODES}")
    for episode in range(EPISODES):
        while not demonstrate(page):
            page.keyboard.press("d")
            recover(page)
        page.keyboard.press("s")
        says(page, "record-said", f"saved .*episode_0000{episode}")
        page.wait_for_selector(f"#last b:text('episode_0000{episode}')", timeout=WAIT_MS)
        print(page.inner_text("#record-said"), flush=True)
    page.wait_for_selector("#last .films img", timeout=WAIT_MS)
    shot(page, "record")


def demonstrate(page: Page) -> bool:
    """Let the operator show the task once while it is recorded; return whether it went through."""
    steps = [("sim layout", TASK), ("arm", "armed|in hold"), ("teleop", "following")]
    if not all(ask(page, verb, want, "#sim") for verb, want in steps):
        return False
    page.keyboard.press("s")
    says(page, "record-now", "^Records")
    ask(page, "sim operate", "the operator", "#sim")
    page.wait_for_function(
        "() => / s, done/.test(document.getElementById('sim-now').textContent)"
        " || /fault/.test(document.getElementById('record-mode').textContent)",
        timeout=WAIT_MS,
    )
    return "fault" not in page.inner_text("#record-mode")


def mark_and_play(page: Page) -> None:
    """Hold an episode out of training, and play another."""
    page.click("nav a[href='#data']")
    page.wait_for_selector(".episode", timeout=WAIT_MS)
    page.locator(".episode select[data-mark='use']").first.select_option("held_out")
    page.locator(".episode button").last.click()
    page.wait_for_selector("#played .films img", timeout=WAIT_MS)
    page.locator("#played input[type='range']").fill("4")
    shot(page, "data")


def run_and_stop(page: Page) -> None:
    """Let the policy drive, stop it by the space bar, and see why it stopped."""
    page.click("nav a[href='#run']")
    says(page, "words", "Disarmed")
    while not (ask(page, "arm", "armed|in hold") and ask(page, "policy", "following")):
        recover(page)
    says(page, "gate-words", "expert")
    page.wait_for_timeout(6000)
    shot(page, "run")
    page.keyboard.press(" ")
    says(page, "words", "Emergency stop")
    says(page, "last-stop", "_estop")
    page.click("nav a[href='#why']")
    page.wait_for_selector("#stopped .why h2", timeout=WAIT_MS)
    page.wait_for_selector("#stopped .films img", timeout=WAIT_MS)
    assert "Somebody pressed the emergency stop" in page.inner_text("#stopped h2")
    assert "the policy" in page.inner_text("#stopped")
    shot(page, "why")


def train(folder: Path) -> None:
    """Train for a moment on what was recorded: enough to run, not to succeed."""
    words = ("train", "--bags", "data", "--policy", "smp", "--steps", str(STEPS), "--out", "runs/first")
    subprocess.run([*smp(), *words], cwd=folder, check=True)


def walk(page: Page, folder: Path) -> None:
    """Go the whole way."""
    with running(folder, "first.log", *GRAPH):
        says(page, "words", "Disarmed")
        record(page)
        mark_and_play(page)
    train(folder)
    with running(folder, "second.log", *GRAPH, "--model", "runs/first/model"):
        run_and_stop(page)


def main() -> None:
    """Start the console, then walk."""
    folder = Path(mkdtemp(prefix="smp_path_"))
    chromium = os.environ.get("SMP_CHROMIUM") or shutil.which("chromium") or "chromium"
    with running(folder, "console.log", "console", "--port", "8490", "--token", TOKEN), sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        page = playwright.chromium.launch(executable_path=chromium, args=arguments).new_page(viewport=DESK)
        page.set_default_timeout(WAIT_MS)
        while True:
            try:
                page.goto(f"http://127.0.0.1:8490/?token={TOKEN}")
                break
            except Error:  # the console is not there yet
                page.wait_for_timeout(500)
        walk(page, folder)
    print(f"all of it is in {folder}")


if __name__ == "__main__":
    main()
