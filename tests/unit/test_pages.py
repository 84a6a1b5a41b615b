"""Report pages: nothing from outside, nothing unescaped, and what an episode or a training says of itself."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from smp_bringup.bench.episodes import condense, sheet_of
from smp_bringup.bench.evaluate import summary
from smp_bringup.bench.report import Film, demo_page, eval_page
from smp_bringup.cli import show
from smp_bringup.page.facts import facts
from smp_bringup.page.parts import Card, Command, Figure, Page, Section, Table, Verdicts, Words, render
from smp_bringup.page.pictures import film, film_sheet, gate_figure
from smp_bringup.sim.account import Account
from smp_bringup.sim.rollout import EpisodeResult
from smp_bringup.sim.world import World
from smp_bringup.tasks import EIGHT, TASKS
from smp_bringup.tasks.shortfall import shortfall
from smp_bringup.training.journal import About, Journal
from smp_bringup.training.scalars import rows_of

EVIL = '<script>alert("x")</script>&'
FRAMES = [(0.4 * k, np.full((16, 24, 3), 8 * k, np.uint8)) for k in range(30)]


def text_of(page):
    """Return what a page says, without its pictures and its style."""
    return re.sub(r"<svg.*?</svg>|<style>.*?</style>|<script>.*?</script>|<[^>]*>", " ", page, flags=re.DOTALL)


def test_every_text_of_a_page_is_escaped_and_nothing_is_fetched():
    parts = [
        Words([EVIL]),
        Words([EVIL, EVIL]),
        Table((EVIL, "b"), [(EVIL, EVIL)], EVIL),
        gate_figure([0.0, 1.0], np.full((2, 3), 1 / 3), [1, 2]),
        Figure("<svg></svg>", EVIL, [("#123456", EVIL)]),
        film(*film_sheet(FRAMES), EVIL),
        Command(EVIL, EVIL),
        Verdicts([(EVIL, "no", EVIL)]),
    ]
    page = render(Page(EVIL, EVIL, [(EVIL, EVIL)], [Section(EVIL, [*parts, Card(EVIL, "yes", EVIL, parts)])]))
    assert page.count("<script>") == 1  # ours
    assert page.count("&lt;script&gt;") > 20
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", page)
    assert 'name="viewport"' in page
    assert "prefers-color-scheme:dark" in page


def test_a_drawing_takes_the_colour_of_the_text_around_it():
    svg = gate_figure([0.0, 1.0], np.array([[0.9, 0.09, 0.01]] * 2), [1, 2]).svg
    assert "currentColor" in svg
    assert not re.search(r"#010203|#000000|#ffffff", svg)
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert {name for name in re.findall(r"url\(#([^)]+)\)", svg)} <= set(ids)


def test_a_film_has_its_frames_in_order_in_one_picture():
    shown = film(*film_sheet(FRAMES), "what was seen")
    with Image.open(io.BytesIO(base64.b64decode(shown.webp))) as sheet:
        assert sheet.size == (24, 16 * len(shown.time_s))
        middle = np.asarray(sheet.convert("L"))[8::16, 12].astype(int)
    assert len(shown.time_s) == 24
    assert (shown.time_s[0], shown.time_s[-1]) == (0.0, 11.6)
    assert (np.diff(middle) > 0).all()


def failed(episode, films):
    result = EpisodeResult("stack_blocks", 1, False, 9.0, film=FRAMES, touched="last contact: T", lacks="far off")
    result.held_s = {"arm_distance": 0.25}
    return condense(result, episode, films)


def test_the_page_of_an_evaluation_says_what_went_wrong_and_an_interval_only_of_five(tmp_path):
    good = [condense(EpisodeResult("lift_tray", 1, True, 2.0, film=FRAMES), k, tmp_path) for k in range(5)]
    bad = [failed(k, tmp_path) for k in range(4)]
    told = facts("smp_aloha", "2026-11-30", ["eval", "--tasks", "a b"])
    page = text_of(render(eval_page("t", told, summary(good + bad), good + bad, tmp_path, [])))
    (tray,) = re.findall(r"lift_tray\s+5/5\s+(\S+ - \S+)", page)
    assert tray == "0.57 - 1.00"
    assert re.search(r"stack_blocks\s+0/4\s+needs 5 episodes", page)
    for said in ("last contact: T", "far off", "arm distance held the arms for 0.25 s", "time budget of 9 s"):
        assert said in page
    assert "stack the two blocks" in page
    assert "smp eval --tasks 'a b'" in page.replace("&#39;", "'")
    assert sheet_of(tmp_path, "lift_tray", 0).is_file()  # the first, and what failed
    assert not sheet_of(tmp_path, "lift_tray", 1).is_file()
    assert sheet_of(tmp_path, "stack_blocks", 3).is_file()


def test_the_page_of_a_demo_has_each_film_and_gate_and_why_it_failed():
    films = [
        Film("lift_tray", 1, True, 2.0, FRAMES, [0.0, 0.2], [[0.9, 0.1], [0.2, 0.8]], [1, 2]),
        Film("lift_tray", 2, False, 9.0, FRAMES, account=["ended by its time budget of 9 s"]),
    ]
    page = render(demo_page("t", [], [Table(("task",), [("lift_tray",)])], films, "", []))
    assert page.count("data:image/webp") == 2
    assert page.count("The gate over time") == 1
    assert "ended by its time budget of 9 s" in page
    assert "1 of 2 episodes succeeded" in page


@pytest.mark.parametrize("task", [task.name for task in EIGHT])
def test_a_fresh_scene_is_told_to_fall_short_without_anything_touched(task, robot):
    world = World(TASKS[task](), robot)
    world.reset(1)
    account = Account(world)
    account.look()
    assert account.touched == "no hand touched an object of the task"
    assert len(account.lacks) > 10
    assert account.lacks == shortfall(world.task, world.model, world.data)


def test_the_last_touch_and_the_distance_are_those_of_the_scene(robot):
    world = World(TASKS["transfer_cube"](), robot)
    world.reset(1)
    account = Account(world)
    finger = next(i for i in range(world.model.ngeom) if world.model.geom(i).name.startswith("right_finger"))
    world.data.joint("cube").qpos[:3] = world.data.geom_xpos[finger]
    world.step(0.01)
    account.look()
    world.data.joint("cube").qpos[:3] = [0.0, 0.5, 0.05]
    world.step(0.01)
    account.look()
    assert account.touched == "last contact: the right hand on cube, at 0.0 s"
    assert account.lacks.startswith("the cube is 3.0 cm below the height that counts, touched by no hand")


def test_rows_of_a_resumed_run_are_those_of_its_last_course(tmp_path):
    path = tmp_path / "rows.jsonl"
    steps = [50, 100, 150, 100, 200]  # saved at 50, killed after 150
    path.write_text("".join(json.dumps({"step": s, "n": n}) + "\n" for n, s in enumerate(steps)) + '{"step": 2')
    assert [(row["step"], row["n"]) for row in rows_of(path)] == [(50, 0), (100, 3), (200, 4)]


def test_a_journal_waits_until_a_turn_is_a_hundredth_of_the_time(tmp_path, robot):
    journal = Journal(tmp_path, About("t", [], []), robot, 100)
    assert [journal.due(s) for s in (100, 149, 151)] == [False, False, True]
    (tmp_path / "held_out.jsonl").write_text('{"step": 80}\n')  # of another run in this folder
    (tmp_path / "losses.jsonl").write_text('{"step": 100, "mean": 1.0}\n')
    journal.begin(0)
    page = (tmp_path / "report.html").read_text()
    assert "Step 0 of 100: not finished" in page
    assert "The first figures come after some steps" in page
    assert not (tmp_path / "held_out.jsonl").exists()


@pytest.mark.parametrize("steps", [9, 100000])
def test_the_line_of_a_training_fits_into_80_columns(steps, monkeypatch):
    terminal = Console(width=80, force_terminal=True, record=True, file=io.StringIO())
    monkeypatch.setattr(show, "console", terminal)
    with show.progress(long_note=True) as bar:
        bar.add_task("smp_shared", total=steps, completed=steps, note="loss 12.345 held-out 0.034 rad")
    line = terminal.export_text().splitlines()[-1]
    assert line.rstrip().endswith("held-out 0.034 rad")
