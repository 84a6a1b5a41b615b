"""Draws docs/images/gates.png and basis.png: python tools/method_pictures.py SMP_MODEL DIBM_MODEL (state track)."""

import sys
from pathlib import Path

import numpy as np
from matplotlib import pyplot

from smp_bringup.bench.phases import Walk, walk
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.robot import Robot, load_robot
from smp_bringup.sim.seeds import evaluation_seed
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS

CHOSEN = ("lift_tray", "transfer_cube", "peg_insertion")
OUT = Path("docs/images")


def draw_gates(walks: dict[str, list[Walk]]) -> None:
    """Draw the gate of each method (row) along one demonstration of each task (column)."""
    figure, axes = pyplot.subplots(len(walks), len(CHOSEN), figsize=(13, 4.6), layout="constrained", squeeze=False)
    for row, (method, mine) in zip(axes, walks.items(), strict=True):
        for axis, task, one in zip(row, CHOSEN, mine, strict=True):
            axis.stackplot(one.time_s, one.gate.T, colors=[f"C{i}" for i in range(one.gate.shape[1])])
            for time_s in one.time_s[1:][np.any(np.diff(one.phase, axis=0) != 0, axis=1)]:
                axis.axvline(time_s, color="black", linewidth=1, linestyle=":")
            axis.set(xlim=(one.time_s[0], one.time_s[-1]), ylim=(0, 1), title=f"{method}, {task}", xlabel="time [s]")
        row[0].set_ylabel("gate")
    figure.savefig(OUT / "gates.png", dpi=90)


def draw_basis(one: Walk, robot: Robot, task: str) -> None:
    """Draw the direction of the heaviest expert over joints along one demonstration, and how far it turns."""
    assert one.basis is not None
    top = one.gate.argmax(1)
    direction = one.basis[np.arange(len(top)), :, top]
    figure, (map_axis, turn_axis) = pyplot.subplots(
        2, 1, figsize=(11, 5.6), height_ratios=(2.4, 1), layout="constrained", sharex=True
    )
    edges = (one.time_s[0], one.time_s[-1], robot.dof - 0.5, -0.5)
    image = map_axis.imshow(direction.T, aspect="auto", extent=edges, cmap="RdBu", vmin=-1, vmax=1)
    map_axis.set_yticks(range(robot.dof), robot.joint_names, fontsize=7)
    map_axis.set_title(f"{task}: column of the basis that belongs to the heaviest expert")
    figure.colorbar(image, ax=map_axis)
    cosine = np.einsum("njk,njk->nk", one.basis[1:], one.basis[:-1])
    turn_axis.plot(one.time_s[1:], np.degrees(np.arccos(np.clip(cosine, -1, 1))), linewidth=0.8)
    turn_axis.set(xlabel="time [s]", ylabel="turn of each column\nper 40 ms [deg]")
    figure.savefig(OUT / "basis.png", dpi=90)


def main() -> None:
    """Draw both pictures."""
    robot = load_robot("aloha")
    walks: dict[str, list[Walk]] = {"SMP": [], "Di-BM": []}
    for task in CHOSEN:
        world = World(TASKS[task]("wide"), robot)
        for method, name in zip(walks, sys.argv[1:], strict=True):
            walks[method].append(walk(world, build_policy(find_model(name), robot), evaluation_seed(0, 1)))
    draw_gates(walks)
    draw_basis(walks["SMP"][1], robot, CHOSEN[1])


if __name__ == "__main__":
    main()
