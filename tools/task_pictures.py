"""Draws the scripted operator solving tasks on one layout: docs/images/tasks.png, the eight on a wide one.

With the argument `v2`: docs/images/tasks_v2.png, the tasks that benchmark v2 adds.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib import pyplot

from smp_bringup.robot import Robot, load_robot
from smp_bringup.sim.state_track import Follower
from smp_bringup.sim.world import World
from smp_bringup.tasks import GROUPS, TASKS
from smp_bringup.tasks.experts import ScriptedOperator

SEED = 5  # of the layout
FRAMES = 7
SIZE_PX = 200


def film(name: str, level: str, robot: Robot) -> list[tuple[float, np.ndarray]]:
    """Return times [s] and images of a demonstration, `FRAMES` of them evenly spaced."""
    world = World(TASKS[name](level), robot)
    world.reset(SEED)
    operator = ScriptedOperator(world.task, world.model, world.data, robot, SEED)
    follower, ticks = Follower(robot, robot.joint_array("home")), round(operator.duration_s / robot.control_period_s)
    wanted = np.linspace(0.04 * ticks, ticks - 1, FRAMES).round().astype(int)
    frames = []
    for tick in range(ticks):
        world.set_setpoint(follower.follow(operator.target(world.time_s)))
        world.step(robot.control_period_s)
        if tick in wanted:
            frames.append((world.time_s, world.render(robot.cameras[0].name).copy()))
    print(name, "solved" if world.succeeded() else "not held for long enough yet")
    world.close()
    return frames


def main() -> None:
    """Draw one row of frames a task."""
    robot = load_robot("aloha")
    overview = replace(robot.cameras[0], width=SIZE_PX, height=SIZE_PX)
    robot = replace(robot, cameras=(overview, *robot.cameras[1:]))
    names, level, file = GROUPS["all"], "wide", "tasks.png"
    if sys.argv[1:] == ["v2"]:
        names, level, file = [name for name in sorted(TASKS) if name not in names], "v2", "tasks_v2.png"
    figure, axes = pyplot.subplots(len(names), FRAMES, figsize=(1.45 * FRAMES, 1.62 * len(names)), layout="constrained")
    for row, name in zip(axes, names, strict=True):
        for axis, (time_s, image) in zip(row, film(name, level, robot), strict=True):
            axis.imshow(image)
            axis.set_title(f"{time_s:.1f} s", fontsize=7, pad=2)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, fontsize=6 if level == "v2" else 8)
    figure.savefig(Path("docs/images") / file, dpi=85 if level == "wide" else 70)


if __name__ == "__main__":
    main()
