"""A report page as a picture for the docs: desktop in light beside a phone in dark; fails where axe-core finds much.

    python tools/page_picture.py out/eval/report.html docs/images/report_eval.png [SECTION]

SECTION is the headline that the picture begins with. Needs `make browser` and the machine's own Chromium (SMP_CHROMIUM
names another).
"""

import io
import os
import shutil
import sys
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

_DESKTOP, _PHONE = (1280, 1000), (390, 844)
_SERIOUS = {"serious", "critical"}


def shot(browser: Browser, page: Path, size: tuple[int, int], scheme: str, section: str) -> Image.Image:
    """Return what a window without network shows of a page; ends where it does not fit, fails, or axe-core objects."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, offline=True, reduced_motion="reduce"
    )
    window, wrong = context.new_page(), []
    window.on("pageerror", lambda error: wrong.append(str(error)))
    window.goto(page.resolve().as_uri())
    wrong += [f"{v['id']}: {v['help']}" for v in Axe().run(window).response["violations"] if v["impact"] in _SERIOUS]
    if (wide := window.evaluate("document.documentElement.scrollWidth")) > size[0]:
        wrong.append(f"{wide} px wide in a window of {size[0]} px")
    if wrong:
        sys.exit(f"page_picture: {page}, {scheme}, {size[0]} px: {'; '.join(wrong)}")
    for slider in window.locator(".film input").all():
        slider.evaluate("e => { e.value = e.max / 2; e.dispatchEvent(new Event('input')); }")
    if section:
        window.get_by_role("heading", name=section).first.evaluate("e => e.scrollIntoView()")
    picture = Image.open(io.BytesIO(window.screenshot()))
    context.close()
    return picture.convert("RGB")


def main(page: Path, out: Path, section: str = "") -> None:
    """Write the picture."""
    chromium = os.environ.get("SMP_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        desktop = shot(browser, page, _DESKTOP, "light", section)
        phone = shot(browser, page, _PHONE, "dark", section)
        browser.close()
    both = Image.new("RGB", (_DESKTOP[0] + _PHONE[0] + 30, _DESKTOP[1]), "white")
    both.paste(desktop, (0, 0))
    both.paste(phone, (_DESKTOP[0] + 30, 0))
    both.quantize(128, dither=Image.Dither.NONE).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4])
