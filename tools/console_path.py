"""A newcomer's path through `smp console`, without `ros2`: records, trains, runs, stops by a key, finds out why.

`python tools/console_path.py` starts `smp demo`, `smp up --sim` and `smp console` in a folder of their own, walks
through the pages in the machine's Chromium (SMP_CHROMIUM), and leaves what was seen on a desk and on a phone in
docs/images/console_*.png. Every wait has an end, and says what it waited for and what was there instead.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from page_picture import DESKTOP, PHONE, beside, chromium, picture, wrongs
from playwright.sync_api import Error, Page, TimeoutError

IMAGES = Path(__file__).parents[1] / "docs" / "images"
TASK, EPISODES, ATTEMPTS, STEPS = "press_two_buttons", 3, 2, 20
SHIPPED = "smp_aloha"
PORT, TOKEN = 8490, "a-token-for-the-newcomer"
GRAPH = ("up", "--sim", "--teleop", "--record", "data/demos", "--task", TASK)
NO_POLICY, TRAINED = ("--model", "none"), ("--model", "runs/first/model")
SLICE_MS, CLICK_MS = 2000, 60_000
"""A wait looks so often whether all processes still run; a button that is not there for so long is an error."""
DRIVES, LOOKING_MS = 8, 4000
REACTION_MS = 700
"""Of a person who sees that the task is done, or that it is not and the operator has finished."""
START_S, ANSWER_S, OPERATOR_S, READ_S, COMPARE_S, TRAIN_S = 90, 60, 60, 60, 240, 300
SEEN = """([selector, text]) => [...document.querySelectorAll(selector)].some(
  (each) => each.checkVisibility() && new RegExp(text).test(each.textContent))"""
COMPLETE = """(selector) => { const found = [...document.querySelectorAll(selector)];
  return found.length > 0 && found.every((image) => image.complete && image.naturalWidth > 0); }"""
PRESSED = "Somebody pressed the emergency stop"


class Walk:
    """The newcomer: a page, the terminals beside it, and the time since the first command."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.folder, self.begun = page, folder, time.monotonic()
        self.terminals: dict[str, subprocess.Popen] = {}

    def step(self, what: str) -> None:
        """Say what comes now."""
        print(f"{time.monotonic() - self.begun:6.1f} s  {what}", flush=True)

    def lost(self, what: str) -> SystemExit:
        """Return the end of a walk that does not go on."""
        return SystemExit(f"{time.monotonic() - self.begun:6.1f} s  console_path: {what}; see {self.folder}")

    @contextmanager
    def running(self, log: str, *words: str) -> Iterator[None]:
        """Run `smp` with some words in a terminal until the block ends."""
        self.step(f"smp {' '.join(words)}")
        with (self.folder / log).open("w") as out:
            process = subprocess.Popen([*smp(), *words], cwd=self.folder, stdout=out, stderr=out)
            self.terminals[log] = process
            try:
                yield
            finally:
                del self.terminals[log]
                process.terminate()
                process.wait(60)

    def command(self, *words: str, within_s: float) -> str:
        """Run `smp` with some words to its end; return what it said."""
        self.step(f"smp {' '.join(words)}")
        try:
            done = subprocess.run(
                [*smp(), *words], cwd=self.folder, capture_output=True, text=True, timeout=within_s, check=False
            )
        except subprocess.TimeoutExpired as late:
            raise self.lost(
                f"smp {words[0]} took more than {within_s:g} s; it said {late.stdout or late.stderr}"
            ) from None
        if done.returncode:
            raise self.lost(f"smp {words[0]} ended with code {done.returncode}: {(done.stderr or done.stdout)[-500:]}")
        return done.stdout

    def until(self, what: str, script: str, argument: object, shown: str, within_s: float) -> None:
        """Wait until a script of the page is true; where it never is, say what `shown` shows instead."""
        end = time.monotonic() + within_s
        while True:
            try:
                self.page.wait_for_function(script, arg=argument, timeout=SLICE_MS)
            except TimeoutError:
                for log, process in self.terminals.items():
                    if process.poll() is not None:
                        raise self.lost(f"waited for {what}, and the terminal of {log} has ended") from None
                if time.monotonic() > end:
                    raise self.lost(f"waited {within_s:g} s for {what}; {shown} shows: {self.shown(shown)}") from None
            else:
                return

    def shown(self, selector: str) -> str:
        """Return the text of what a selector finds."""
        return " | ".join(self.page.locator(selector).all_text_contents())[:400] or "nothing"

    def says(self, what: str, selector: str, pattern: str, within_s: float = ANSWER_S) -> str:
        """Wait until something that is seen says what a pattern finds; return what it says."""
        self.until(what, SEEN, [selector, pattern], selector, within_s)
        return self.shown(selector)

    def pictures(self, selector: str) -> None:
        """Wait until pictures are there."""
        self.until(f"pictures in {selector}", COMPLETE, f"{selector} img", selector, READ_S)

    def turn(self, page: str) -> None:
        """Go to a page of the console."""
        self.page.click(f"nav a[href='#{page}']")

    def ask(self, verb: str, want: str, where: str = "#verbs") -> str:
        """Press a button until its answer is the one that is wanted, or names a latched stop; return the answer."""
        end = time.monotonic() + ANSWER_S
        while True:
            self.page.click(f"{where} button[data-verb='{verb}']")
            answer = self.says(f"an answer to {verb}", "#answer", f"^{verb}: (?!asked)")
            if re.search(want, answer) or "fault" in answer:
                return answer
            if time.monotonic() > end:
                raise self.lost(f"asked {ANSWER_S:g} s for {verb}; the last answer: {answer}")
            self.page.wait_for_timeout(500)

    def asked(self, steps: list[tuple[str, str]], where: str = "#verbs") -> str:
        """Ask one thing after the other; return the answer that names a fault, if any does."""
        return next((said for verb, want in steps if not re.search(want, said := self.ask(verb, want, where))), "")

    def reset(self) -> None:
        """Leave a latched stop, as a machine that is too busy for a simulation brings about."""
        back = self.page.evaluate("location.hash")
        self.turn("run")
        self.ask("release", "released")
        self.ask("reset", "reset; disarmed|nothing to reset")
        self.turn(back.removeprefix("#"))

    def seen(self, name: str) -> None:
        """Keep what is seen on a desk in light and on a phone in dark."""
        pictures = []
        for size, scheme in ((PHONE, "dark"), (DESKTOP, "light")):
            self.page.set_viewport_size({"width": size[0], "height": size[1]})
            self.page.emulate_media(color_scheme=scheme)
            self.page.evaluate("scrollTo(0, 0)")
            pictures.append(picture(self.page))
        beside(*reversed(pictures), IMAGES / f"console_{name}.png")

    def sound(self, name: str) -> None:
        """End the walk where axe-core objects to what is seen, or a page is too wide."""
        for size, scheme in ((PHONE, "dark"), (DESKTOP, "light")):
            self.page.set_viewport_size({"width": size[0], "height": size[1]})
            self.page.emulate_media(color_scheme=scheme)
            if wrong := wrongs(self.page):
                raise self.lost(f"page {name}, {scheme}: {'; '.join(wrong)}")

    def shot(self, name: str) -> None:
        """Keep what is seen, and look for what is wrong with it."""
        self.seen(name)
        self.sound(name)


def smp() -> tuple[str, ...]:
    """Return the command of this checkout."""
    return sys.executable, "-m", "smp_bringup.cli.main"


def record(walk: Walk) -> bool:
    """Record episodes on the page Record, by a scripted operator; return whether one is kept that was rejected.

    A machine that is too busy for a simulation makes gaps, and those are rejected: each is tried again a few times.
    """
    rejected = False
    walk.turn("record")
    walk.page.fill("#queue-text", f"{TASK}*{EPISODES}")
    walk.page.press("#queue-text", "Enter")
    walk.says("the queue", "#queue", f"{TASK} 0/{EPISODES}")
    for episode in range(EPISODES):
        name, why, attempts = f"episode_{episode:05d}", "not tried", 0
        while why:
            attempts += 1
            walk.step(f"{name}, attempt {attempts}")
            why = demonstrate(walk, name)
            if why.startswith("reject") and attempts >= ATTEMPTS:
                print(f"          kept all the same: {why}", flush=True)
                rejected, why = True, ""
            elif why:
                if attempts >= 2 * ATTEMPTS:
                    raise walk.lost(f"no episode in {attempts} attempts: {why}")
                print(f"          tried again: {why}", flush=True)
                discard(walk, name)
    walk.pictures("#last .films")
    walk.shot("record")
    return rejected


def discard(walk: Walk, name: str) -> None:
    """Remove what was recorded of an attempt, if anything was; else the key would remove the episode before it."""
    if "Records" in walk.shown("#record-now") or re.search(f"saved .*{name}", walk.shown("#record-said")):
        walk.page.keyboard.press("d")
        walk.says("the episode to be discarded", "#answer", "record discard: discarded")


def demonstrate(walk: Walk, name: str) -> str:
    """Let the operator show the task once while it is recorded; return what is wrong with it, if anything is."""
    if re.search("fault|Emergency", walk.shown("#record-mode")):
        walk.reset()
    if said := walk.asked([("sim layout", TASK), ("arm", "armed|in hold"), ("teleop", "following")], "#sim"):
        return said
    walk.page.keyboard.press("s")
    walk.says("the recording", "#record-now", "^Records")
    walk.ask("sim operate", "the operator", "#sim")
    walk.until(
        "the operator's end",
        "() => / s, done|has finished/.test(document.getElementById('sim-now').textContent)"
        " || /fault/.test(document.getElementById('record-mode').textContent)",
        None,
        "#sim-now, #record-mode",
        OPERATOR_S,
    )
    walk.page.wait_for_timeout(REACTION_MS)
    seen = walk.shown("#sim-now, #record-mode")
    if " s, done" not in seen or "fault" in seen:
        return seen
    walk.page.keyboard.press("s")
    said = walk.says("the verdict", "#record-said", f"saved .*{name} .*: (keep|warn|reject)")
    print(f"          {said}", flush=True)
    walk.says("the episode with its verdict", "#last b", name)
    return walk.shown("#last li") if "reject" in said else ""


def mark_and_play(walk: Walk) -> None:
    """Hold an episode out of training, and play another."""
    walk.turn("data")
    walk.says("the list", "#data-said", f"^{EPISODES} of {EPISODES} ")
    walk.page.locator("#episodes select[data-mark='use']").first.select_option("held_out")
    walk.page.locator("#episodes .episode button").last.click()
    walk.pictures("#played .films")
    slider = walk.page.locator("#played input[type='range']")
    slider.fill(str(int(0.6 * float(slider.get_attribute("max") or 0))))
    walk.pictures("#played .films")
    walk.shot("data")


def look_at_models(walk: Walk) -> None:
    """Look at what was trained, and compare it with the shipped policy on an episode."""
    walk.turn("models")
    mine = "runs/first/model"
    walk.says("the checkpoints", "#models", f"{mine}.*{SHIPPED}")
    walk.page.click(f"#models button[data-model='{mine}']")
    walk.says("the card", "#model", "It fits this robot")
    walk.page.select_option("#second", label=SHIPPED)
    walk.page.click("#compare button")
    walk.says("the comparison", "#trial", "change", COMPARE_S)
    walk.shot("models")


def drive(walk: Walk) -> None:
    """Let the policy drive, and stop it by the space bar; again where a busy machine brought about a fault before."""
    for attempt in range(1, DRIVES + 1):
        walk.step(f"arm, policy, attempt {attempt}")
        walk.says("the mode", "#words", "Disarmed|fault|Emergency")
        if "Disarmed" not in walk.shown("#words"):
            walk.reset()
        if said := walk.asked([("arm", "armed|in hold"), ("policy", "following")]):
            print(f"          not followed: {said}", flush=True)
            continue
        walk.says("the gate", "#gate-words", "expert")
        walk.page.wait_for_timeout(LOOKING_MS)
        walk.seen("run")
        if "follow the policy" in walk.shown("#words"):
            stop(walk)
            if walk.shown("#last-stop span").endswith("_estop"):
                return
        print(f"          stopped by itself: {walk.shown('#words, #reasons li')}", flush=True)
    raise walk.lost(f"the policy did not drive in {DRIVES} attempts: {walk.shown('#words, #reasons li')}")


def stop(walk: Walk) -> None:
    """Stop by the space bar, and wait for what the black box keeps of it."""
    before, pressed = walk.shown("#last-stop span"), time.monotonic()
    walk.page.keyboard.press(" ")
    walk.says("the stop", "#words", "Emergency stop", 10)
    walk.step(f"stopped by the space bar; seen on the page {1e3 * (time.monotonic() - pressed):.0f} ms later")
    walk.until(
        "the black box",
        "(before) => { const last = document.querySelector('#last-stop span').textContent;"
        " return last !== '' && last !== before; }",
        before,
        "#last-stop",
        ANSWER_S,
    )


def ask_why(walk: Walk) -> None:
    """See why it stopped, on the page and in a terminal."""
    walk.step("the page Why")
    walk.turn("why")
    said = walk.says("the reason", "#stopped .why", PRESSED)
    if "the policy" not in said:
        raise walk.lost(f"the page does not know who drove: {said}")
    walk.pictures("#stopped .films")
    walk.shot("why")
    said = walk.command("why", within_s=ANSWER_S)
    if PRESSED not in said:
        raise walk.lost(f"smp why says something else: {said}")


def go(walk: Walk) -> None:
    """Go the whole way; the console runs."""
    with walk.running("first.log", *GRAPH, *NO_POLICY):
        walk.says("the graph", "#words", "Disarmed", START_S)
        rejected = record(walk)
        walk.step("the page Data")
        mark_and_play(walk)
    more = ("--start", SHIPPED, "--steps", str(STEPS), "--out", "runs/first")
    walk.command("train", "--bags", "data", "--policy", "smp", *more, *["--rejected"] * rejected, within_s=TRAIN_S)
    walk.step("the page Models")
    look_at_models(walk)
    with walk.running("second.log", *GRAPH, *TRAINED):
        walk.turn("run")
        walk.says("the graph", "#words", "Disarmed", START_S)
        drive(walk)
        walk.sound("run")
        ask_why(walk)


def opened(walk: Walk) -> None:
    """Open the address that the console prints."""
    end = time.monotonic() + START_S
    while True:
        try:
            walk.page.goto(f"http://127.0.0.1:{PORT}/?token={TOKEN}")
            return
        except Error as error:  # the console is not there yet
            if time.monotonic() > end or walk.terminals["console.log"].poll() is not None:
                raise walk.lost(f"no console after {START_S} s: {error}") from None
            time.sleep(0.5)


def main() -> None:
    """Try the demo, start the console, then walk."""
    folder = Path(mkdtemp(prefix="newcomer_"))
    with chromium() as browser:
        page = browser.new_page(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
        page.set_default_timeout(CLICK_MS)
        walk = Walk(page, folder)
        walk.command("demo", "--task", TASK, within_s=START_S)
        with walk.running("console.log", "console", "--port", str(PORT), "--token", TOKEN):
            opened(walk)
            try:
                go(walk)
            except Error as error:  # of a button that was not there, or a click that was not taken
                raise walk.lost(" ".join(str(error).split())[:400]) from None
        walk.step(f"the whole way; all of it is in {folder}")


if __name__ == "__main__":
    main()
