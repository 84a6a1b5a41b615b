"""Draws docs/images/robots.png: each robot that ships lifts the tray (`make robots` first)."""

from pathlib import Path

import mujoco
import numpy as np
from matplotlib import pyplot

from smp_bringup.paths import share
from smp_bringup.robot import load_robot
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.experts import ScriptedOperator

SEED = 3  # of the layout
SHARES = (0.0, 0.32, 0.62, 0.85)  # of the motion, when a frame is taken
SIZE_PX = (300, 400)
SEEN = {"aloha": (1.6, 90), "baxter": (2.3, -70), "dual_panda": (2.3, 90), "dual_so101": (1.25, 90)}
"""Distance [m] and azimuth [deg] of who looks."""


def film(name: str) -> list[np.ndarray]:
    """Return frames of one demonstration."""
    robot = load_robot(name)
    world = World(TASKS["lift_tray"](), robot)
    world.reset(SEED)
    operator = ScriptedOperator(world.task, world.model, world.data, robot, SEED)
    world.model.vis.global_.offheight, world.model.vis.global_.offwidth = SIZE_PX
    renderer, camera = mujoco.Renderer(world.model, *SIZE_PX), mujoco.MjvCamera()
    camera.lookat, camera.elevation = [0, 0.5, 0.15], -22
    camera.distance, camera.azimuth = SEEN.get(name, (2.2, 90))
    frames, ticks = [], round(operator.duration_s / robot.control_period_s)
    wanted = [round(share * ticks) for share in SHARES]
    for tick in range(ticks):
        if tick in wanted:
            renderer.update_scene(world.data, camera)
            frames.append(renderer.render().copy())
        world.set_setpoint(operator.target(world.time_s))
        world.step(robot.control_period_s)
    print(name, "solved" if world.succeeded() else "failed")
    renderer.close()
    return frames


def main() -> None:
    """Draw one row of frames a robot."""
    names = [path.stem for path in sorted(share("config", "robots").glob("*.yaml"))]
    figure, axes = pyplot.subplots(len(names), len(SHARES), figsize=(10, 1.95 * len(names)), layout="constrained")
    for row, name in zip(axes, names, strict=True):
        for axis, image in zip(row, film(name), strict=True):
            axis.imshow(image)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, fontsize=9)
    figure.savefig(Path("docs/images/robots.png"), dpi=90)


if __name__ == "__main__":
    main()
