"""Draws docs/images/verdict.png and docs/images/replay.png: what `smp bag check` and `smp replay --report` show."""

import subprocess
import sys
import tempfile
from pathlib import Path

from matplotlib import font_manager
from page_picture import main as page_picture
from PIL import Image, ImageDraw, ImageFont

from smp_bringup.bag.messages import IMAGE, image_cdr, typestore
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.writer import BagWriter
from smp_bringup.wire import frame

IMAGES = Path("docs/images")
COLOURS = {"keep": "#7fd962", "warn": "#e6b450", "reject": "#f07178"}
FROZEN_S, SILENT_S = (1.0, 1.6), (2.0, 2.2)


def smp(*words: object) -> str:
    """Return what a command prints, whatever its exit code."""
    command = [sys.executable, "-m", "smp_bringup.cli.main", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def spoil(source: Path, target: Path) -> None:
    """Copy a bag with a camera that freezes and an arm that falls silent."""
    bag = open_bag(source)
    robot = bag.robot()
    camera, arm = robot.cameras[0], robot.arms[0]
    writer = BagWriter(target, robot, bag.episode["task"])
    start, held = None, None
    for topic, at, cdr in bag.raw_messages(set(bag.types)):
        start = at if start is None else start
        elapsed = (at - start) / 1e9
        if topic == arm.state_topic and SILENT_S[0] <= elapsed < SILENT_S[1]:
            continue
        if topic == camera.topic:
            seen = frame(typestore().deserialize_cdr(cdr, IMAGE)).image
            held = held if held is not None and FROZEN_S[0] <= elapsed < FROZEN_S[1] else seen
            cdr = image_cdr(at, camera.name, held)
        writer.write(topic, bag.types[topic], at, cdr)
    writer.close(True)


def terminal(text: str, path: Path) -> None:
    """Draw text as a terminal shows it."""
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans Mono"), 14)
    lines = text.rstrip().splitlines()
    width = round(max(font.getlength(line) for line in lines)) + 24
    picture = Image.new("RGB", (width, 20 * len(lines) + 20), "#10141c")
    draw = ImageDraw.Draw(picture)
    for i, line in enumerate(lines):
        colour = next((c for word, c in COLOURS.items() if line.split()[:1] == [word]), "#d9d7ce")
        draw.text((12, 10 + 20 * i), line, font=font, fill=colour)
    picture.save(path)


def main() -> None:
    """Record, spoil, judge, replay, draw."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        smp("record", "--task", "transfer_cube", "--episodes", 2, "--seed", 22, "--lockstep", "--out", folder / "demos")
        bags = sorted((folder / "demos/transfer_cube").iterdir())
        spoil(bags[0], folder / "demos/transfer_cube/spoiled")
        shown = smp("bag", "check", folder / "demos").replace(f"{folder}/", "")
        terminal(f"$ smp bag check demos\n{shown}", IMAGES / "verdict.png")
        smp("replay", *bags, "--criteria", "default", "--report", folder / "report")
        page_picture(folder / "report/report.html", IMAGES / "replay.png", "Worst moments")


if __name__ == "__main__":
    main()
