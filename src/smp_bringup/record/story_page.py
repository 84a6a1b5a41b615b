"""An episode as a page in one file: what `page/story.js` draws, with everything inside it; nothing is fetched."""

import base64
import json
from pathlib import Path

from smp_bringup.bag.reader import Bag
from smp_bringup.output import write_text
from smp_bringup.page.parts import PALETTE
from smp_bringup.record.story import Story, replay_command, tell

ASSETS = Path(__file__).parent / "page"
"""How an episode is drawn, in the browser: also the console's."""
PAGE = "why.html"
_STILLS = 60
"""Pictures of a camera in the file."""
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
_BEGIN = """
const told = JSON.parse(document.getElementById("told").textContent);
drawStory(document.querySelector("main"), told.story, (camera, k) => told.stills[camera][k]);
"""


def write_story(bag: Bag, folder: Path) -> Path:
    """Write the page of a stop into a folder; return where it is.

    Raises:
        BagError: the bag cannot be read.
        OutputError: the page cannot be written.
    """
    page = folder / PAGE
    write_text(page, story_page(tell(bag, bag.robot(), replay_command(bag), _STILLS)))
    return page


def story_page(story: Story) -> str:
    """Return the page of an episode."""
    stills = {
        name: [f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}" for picture in row]
        for name, row in story.stills.items()
    }
    told = json.dumps({"story": story.told, "stills": stills}, allow_nan=False).replace(
        "<", "\\u003c"
    )  # ends no script
    palette, style, script = (
        file.read_text(encoding="utf-8") for file in (PALETTE, ASSETS / "story.css", ASSETS / "story.js")
    )
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>Why did it stop</title><style>{palette}{style}</style></head>",
            f'<body><main class="story"></main><script type="application/json" id="told">{told}</script>',
            f'<script type="module">{script}{_BEGIN}</script></body></html>',
            "",
        )
    )
