"""Draws docs/images/tasks.png: the scripted operator solving every task on one wide layout."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib import pyplot

from smp_bringup.robot import Robot, load_robot
from smp_bringup.sim.state_track import Follower
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.experts import ScriptedOperator

SEED = 5  # of the layout
FRAMES = 7
SIZE_PX = 200


def film(name: str, robot: Robot) -> list[tuple[float, np.ndarray]]:
    """Return times [s] and images of a demonstration, `FRAMES` of them evenly spaced."""
    world = World(TASKS[name]("wide"), robot)
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
    figure, axes = pyplot.subplots(len(TASKS), FRAMES, figsize=(1.45 * FRAMES, 1.62 * len(TASKS)), layout="constrained")
    for row, name in zip(axes, TASKS, strict=True):
        for axis, (time_s, image) in zip(row, film(name, robot), strict=True):
            axis.imshow(image)
            axis.set_title(f"{time_s:.1f} s", fontsize=7, pad=2)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, fontsize=8)
    figure.savefig(Path("docs/images/tasks.png"), dpi=85)


if __name__ == "__main__":
    main()
