"""The page that a training writes as it goes, for a hundredth of its time; a resumed training goes on with it."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smp_bringup.output import write_text
from smp_bringup.page.parts import Card, Command, Figure, Page, Part, Section, Table, Words, write_page
from smp_bringup.page.pictures import COLOURS, GATE_WORDS, colour, gate_legend, subplots, svg
from smp_bringup.robot import Robot
from smp_bringup.training.held_out import Look
from smp_bringup.training.scalars import LOSSES, rows_of

PAGE = "report.html"
_HELD_OUT = "held_out.jsonl"
_PICTURES = "held_out_pictures.json"
_SHARE = 0.01
"""Of the training's time that looking and writing may take."""
_FIRST_COST_S = 1.5
"""What the first turn is taken to cost [s], before any was measured."""
_LEAST = 1e-9


@dataclass(frozen=True)
class About:
    """What a training's page says beside its figures."""

    title: str
    facts: Sequence[tuple[str, str]]
    next_steps: Sequence[Command]


class Journal:
    """Rows of figures in the run's folder, and the page that is made of them."""

    def __init__(self, folder: Path, about: About, robot: Robot, steps: int) -> None:
        """Begin or go on in `folder`; `steps` is where the training ends."""
        self._folder, self._about, self._robot, self._steps = folder, about, robot, steps
        self._spent_s, self._cost_s, self._tired = 0.0, _FIRST_COST_S, False

    def begin(self, step: int) -> None:
        """Write the page before the first step, or go on after `step`: what another run left in the folder is gone."""
        if not step:
            for name in (_HELD_OUT, _PICTURES):
                (self._folder / name).unlink(missing_ok=True)
        self._write(step)

    def due(self, seconds: float) -> bool:
        """Return whether a turn may be paid for after `seconds` of training in this process."""
        return self._spent_s + self._cost_s <= _SHARE * seconds

    def turn(self, step: int, look: Callable[[], tuple[Look, dict[str, float]]], pace: dict[str, float]) -> float:
        """Look at the held-out demonstrations, write the page, and return the error of the joints there [rad].

        Args:
            step: of the training.
            look: gives what the policy does in them, and its losses there by name.
            pace: samples a second, and the share of the time that was waited for them.
        """
        begun = time.monotonic()
        seen, losses = look()
        row = {
            "step": step,
            "losses": losses,
            "joint_error": seen.joint_error.round(6).tolist(),
            "gripper_delay_s": float(np.abs(seen.gripper_delays_s).mean()) if len(seen.gripper_delays_s) else None,
            "gripper_missed": seen.gripper_missed,
            "gate": seen.gate.mean(axis=0).round(5).tolist(),
            "spent_s": round(self._spent_s, 2),
            **pace,
        }
        with (self._folder / _HELD_OUT).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        write_text(self._folder / _PICTURES, json.dumps([vars(figure) for figure in _examples(seen, self._robot)]))
        self._write(step)
        self._cost_s = time.monotonic() - begun
        self._spent_s += self._cost_s
        return seen.error

    def tired(self, step: int) -> None:
        """Write the page of a training that ended at `step`, before its last one, because it got no better."""
        self._tired = True
        self._write(step)

    def _write(self, step: int) -> None:
        """Write the page from what the folder holds of the steps up to `step`."""
        losses, looks = (
            [row for row in rows_of(self._folder / name) if row["step"] <= step] for name in (LOSSES, _HELD_OUT)
        )
        pictures = self._folder / _PICTURES
        examples = [_figure(saved) for saved in json.loads(pictures.read_text())] if pictures.is_file() else []
        write_page(self._folder / PAGE, self._page(step, losses, looks, examples))

    def _page(
        self, step: int, losses: list[dict[str, Any]], looks: list[dict[str, Any]], examples: Sequence[Figure]
    ) -> Page:
        done = "finished" if step >= self._steps else "not finished; the page is written anew as it goes"
        if self._tired:
            done = "ended, because held-out predictions got no better (training.patience)"
        lead = f"Step {step} of {self._steps}: {done}."
        curves: list[Part | Card] = [Words(["The first figures come after some steps."])]
        if losses:
            curves = [_losses(losses, looks)]
        if looks:
            lead += f" {_standing(looks)}"
            curves += [_horizon(looks), *(_over_time(looks) if len(looks) > 1 else ())]
        use = [_gate(looks)] if looks and looks[-1]["gate"] else []
        return Page(
            self._about.title,
            lead,
            self._about.facts,
            [
                Section("Curves", curves),
                Section("Held-out predictions", examples),
                Section("Which experts are used", use),
                Section("Throughput", [_pace(looks)] if looks else []),
                Section("Next, on your robot", self._about.next_steps),
            ],
        )


def _figure(saved: dict[str, Any]) -> Figure:
    return Figure(saved["svg"], saved["text"], [(str(c), str(words)) for c, words in saved["legend"]])


def _standing(looks: list[dict[str, Any]]) -> str:
    """Return in a sentence whether held-out predictions still become better."""
    errors = [_whole(row) for row in looks]
    best = int(np.argmin(errors))
    said = f"In demonstrations that it does not learn from, its joints are {errors[-1]:.3f} rad off."
    if best == len(errors) - 1 or errors[-1] < 1.05 * errors[best]:
        return said
    at = f"step {looks[best]['step']}, whose weights are in the folder best"
    return f"{said} They were {errors[best]:.3f} rad off at {at}: more steps no longer help."


def _whole(row: dict[str, Any]) -> float:
    return float(np.sqrt(np.mean(np.square(row["joint_error"]))))


def _losses(losses: list[dict[str, Any]], looks: list[dict[str, Any]]) -> Figure:
    figure, axis = subplots()
    names = [name for name in losses[-1] if name != "step"]
    for k, name in enumerate(names):
        axis.plot(
            [row["step"] for row in losses], [max(row.get(name, np.nan), _LEAST) for row in losses], color=colour(k)
        )
        held = [(row["step"], row["losses"].get(name)) for row in looks]
        held = [(step, value) for step, value in held if value is not None]
        axis.plot([s for s, _ in held], [max(v, _LEAST) for _, v in held], "o--", color=colour(k), markersize=3)
    axis.set(yscale="log", xlabel="step", ylabel="loss")
    text = (
        "Losses: lines on what is trained on, dashed with dots on held-out demonstrations, with averaged weights. Both "
        "should fall; where the dashed one rises while its line falls, the policy learns the demonstrations by heart."
    )
    return Figure(svg(figure, "losses over steps"), text, [(colour(k), name) for k, name in enumerate(names)])


def _horizon(looks: list[dict[str, Any]]) -> Figure:
    figure, axis = subplots()
    kept = [looks[0], looks[-1]] if len(looks) > 1 else looks
    for k, row in enumerate(kept):
        axis.plot(range(len(row["joint_error"])), row["joint_error"], color=COLOURS[1 - k if len(kept) > 1 else 0])
    axis.set(xlabel="step of the chunk", ylabel="error [rad]", ylim=(0, None))
    legend = [(COLOURS[1 - k if len(kept) > 1 else 0], f"after step {row['step']}") for k, row in enumerate(kept)]
    text = "How far held-out predictions are from what the operator did, the farther ahead the larger."
    return Figure(svg(figure, "joint error over the horizon"), text, legend)


def _over_time(looks: list[dict[str, Any]]) -> list[Figure]:
    """Return the error of the joints over the steps, and, of a robot with grippers, their timing."""
    steps = [row["step"] for row in looks]
    figure, axis = subplots()
    errors = [_whole(row) for row in looks]
    axis.plot(steps, errors, "o-", color=COLOURS[0], markersize=3)
    best = int(np.argmin(errors))
    axis.plot(steps[best], errors[best], "o", color=COLOURS[1], markersize=7, fillstyle="none")
    axis.set(xlabel="step", ylabel="error [rad]", ylim=(0, None))
    text = f"Error of the joints in held-out demonstrations; the ring, at step {steps[best]}, is the best."
    out = [Figure(svg(figure, "held-out joint error over steps"), text)]
    late = [(row["step"], row["gripper_delay_s"]) for row in looks if row["gripper_delay_s"] is not None]
    if late:
        figure, axis = subplots()
        axis.plot([s for s, _ in late], [v for _, v in late], "o-", color=COLOURS[2], markersize=3)
        axis.set(xlabel="step", ylabel="off by [s]", ylim=(0, None))
        alone = looks[-1]["gripper_missed"]
        text = (
            f"Grippers: by how much they open or close at another time than the operator's; {alone} now without pair."
        )
        out.append(Figure(svg(figure, "gripper timing over steps"), text))
    return out


def _gate(looks: list[dict[str, Any]]) -> Figure:
    figure, axis = subplots()
    weight = np.array([row["gate"] for row in looks])
    steps = [row["step"] for row in looks]
    if len(steps) == 1:
        steps, weight = [0, steps[0]], np.repeat(weight, 2, axis=0)
    axis.stackplot(steps, weight.T, colors=[colour(k) for k in range(weight.shape[1])], alpha=0.85)
    axis.set(xlabel="step", ylabel="share of the weight", ylim=(0, 1), xlim=(steps[0], steps[-1]))
    text = f"{GATE_WORDS} An expert whose band vanishes has nothing to do."
    return Figure(svg(figure, "mean gate over steps"), text, gate_legend(weight[-1:]))


def _pace(looks: list[dict[str, Any]]) -> Table:
    spent = (
        f"Looking at held-out demonstrations and writing this page took {looks[-1]['spent_s']:.1f} s before this time."
    )
    rows = [
        (row["step"], f"{row['samples_per_s']:.0f}", f"{100 * row['loader_share']:.1f} %") for row in looks[-8:][::-1]
    ]
    return Table(("up to step", "samples a second", "of it waiting for them"), rows, f"Since the row before. {spent}")


def _examples(seen: Look, robot: Robot) -> list[Figure]:
    """Return one drawing an arm: what the operator did in a held-out demonstration, and what each chunk says."""
    out = []
    period_s = robot.action_period_s
    for arm in robot.arms:
        part = range(*robot.arm_slices[arm.name].indices(robot.dof))
        turning = [j for j in part if not robot.joints[j].gripper]
        grippers = [j for j in part if robot.joints[j].gripper]
        figure, axes = subplots(2 if grippers else 1, 1.6)
        for axis, mine, unit in zip(np.atleast_1d(axes), (turning, grippers), ("[rad]", "gripper [m]"), strict=False):
            for k, j in enumerate(mine):
                axis.plot(seen.time_s, seen.shown[:, 0, j], color=colour(k))
                for at, chunk in zip(seen.time_s, seen.chunks, strict=True):
                    ahead = at + period_s * np.arange(len(chunk))
                    axis.plot(ahead, chunk[:, j], "--", color=colour(k), linewidth=0.6, alpha=0.7)
            axis.set_ylabel(unit)
        np.atleast_1d(axes)[-1].set_xlabel("time [s]")
        text = f"Arm {arm.name} in a held-out demonstration. Solid: the operator; dashed: each chunk of the policy."
        legend = [(colour(k), robot.joints[j].name) for k, j in enumerate(turning)]
        out.append(Figure(svg(figure, f"predictions for arm {arm.name}"), text, legend))
    return out
