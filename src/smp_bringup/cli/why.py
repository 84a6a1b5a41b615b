"""`smp why`: what stopped the arms, from the black box of the graph."""

from pathlib import Path
from typing import Annotated

import typer

from smp_bringup.cli.show import console
from smp_bringup.errors import BagError
from smp_bringup.record.stops import STOPS, stop_folders

_EVENTS = 8


def why(
    stop: Annotated[Path | None, typer.Argument(help="Bag of a stop [the last one].")] = None,
    stops: Annotated[Path, typer.Option(help="Folder of the stops, as smp up --blackbox names it.")] = Path(STOPS),
) -> None:
    """Tell in words what stopped the arms, where its pictures are, and the command that replays it."""
    from smp_bringup.bag.reader import open_bag
    from smp_bringup.record.story import replay_command, tell
    from smp_bringup.record.story_page import PAGE, write_story

    folder = stop or _last(stops)
    bag = open_bag(folder)
    story = tell(bag, bag.robot(), replay_command(bag)).told
    said = story["stop"]
    if said is None:
        raise BagError(f"bag '{folder}' is of no stop: smp bag check judges episodes, smp replay replays them")
    console.print(f"{said['head']}: {said['found']}", style="bold red", soft_wrap=True)
    more = [reason for reason in said["reasons"] if not said["reason"] or said["reason"] not in reason]
    for line in filter(None, (said["reason"], *more, said["look"])):
        console.print(f"  {line}", soft_wrap=True)
    console.print(f"{said['when']}; the arms followed {said['followed']}; the last that the command node said before:")
    before = [event for event in story["events"] if event["at_s"] <= said["at_s"]]
    for event in before[-_EVENTS:]:
        words = " ".join(filter(None, (event["mode"], event["severity"], event["text"])))
        console.print(f"  {event['at_s'] - said['at_s']:+7.2f} s  {words}", soft_wrap=True)
    page = folder / PAGE
    console.print(f"page: {page if page.is_file() else write_story(bag, folder)}", soft_wrap=True)
    console.print(f"look again: {story['command']}", soft_wrap=True)


def _last(stops: Path) -> Path:
    folders = stop_folders(stops)
    if not folders:
        raise BagError(
            f"no stop in '{stops}': smp up keeps the last 30 s before each there (--blackbox names another folder)"
        )
    return folders[-1]
