"""A report page as a picture for the docs: desktop in light beside a phone in dark; fails where axe-core finds much.

    python tools/page_picture.py out/eval/report.html docs/images/report_eval.png [SECTION]

SECTION is the headline that the picture begins with. Needs `make browser` and the machine's own Chromium (SMP_CHROMIUM
names another).
"""

import io
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

DESKTOP, PHONE = (1280, 1000), (390, 844)
_SERIOUS = {"serious", "critical"}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the machine's own Chromium, or the one that SMP_CHROMIUM names."""
    path = os.environ.get("SMP_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def wrongs(window: Page) -> list[str]:
    """Return what axe-core finds that is serious, and whether the page is wider than its window."""
    found = Axe().run(window).response["violations"]
    wrong = [f"{v['id']}: {v['help']}" for v in found if v["impact"] in _SERIOUS]
    width, wide = window.viewport_size["width"], window.evaluate("document.documentElement.scrollWidth")
    return wrong + [f"{wide} px wide in a window of {width} px"] * (wide > width)


def picture(window: Page) -> Image.Image:
    """Return what a window shows."""
    return Image.open(io.BytesIO(window.screenshot())).convert("RGB")


def beside(desktop: Image.Image, phone: Image.Image, out: Path) -> None:
    """Write a desktop beside a phone."""
    both = Image.new("RGB", (DESKTOP[0] + PHONE[0] + 30, DESKTOP[1]), "white")
    both.paste(desktop, (0, 0))
    both.paste(phone, (DESKTOP[0] + 30, 0))
    both.quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB", flush=True)


def shot(browser: Browser, page: Path, size: tuple[int, int], scheme: str, section: str) -> Image.Image:
    """Return what a window without network shows of a page; ends where it does not fit, fails, or axe-core objects."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, offline=True, reduced_motion="reduce"
    )
    window, wrong = context.new_page(), []
    window.on("pageerror", lambda error: wrong.append(str(error)))
    window.goto(page.resolve().as_uri())
    if wrong := wrong + wrongs(window):
        sys.exit(f"page_picture: {page}, {scheme}, {size[0]} px: {'; '.join(wrong)}")
    for slider in window.locator(".film input").all():
        slider.evaluate("e => { e.value = e.max / 2; e.dispatchEvent(new Event('input')); }")
    if section:
        window.get_by_role("heading", name=section).first.evaluate("e => e.scrollIntoView()")
    seen = picture(window)
    context.close()
    return seen


def main(page: Path, out: Path, section: str = "") -> None:
    """Write the picture."""
    with chromium() as browser:
        desktop = shot(browser, page, DESKTOP, "light", section)
        phone = shot(browser, page, PHONE, "dark", section)
    beside(desktop, phone, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])
