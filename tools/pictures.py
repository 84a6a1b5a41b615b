"""Draws docs/images/task.png: an episode of the shipped policy, and the gate over time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib import pyplot

from smp_bringup.paths import FLAGSHIP
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.robot import load_robot
from smp_bringup.sim.rollout import rollout
from smp_bringup.sim.seeds import evaluation_seed
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS

SIZE, FRAMES = 400, 5
"""Pixels of a camera image, drawn larger than the policy's, and how many are shown."""


def draw(task: str, seed: int, path: Path) -> None:
    """Run one episode and save its picture."""
    robot = load_robot("aloha")
    overview = replace(robot.cameras[0], width=SIZE, height=SIZE)
    robot = replace(robot, cameras=(overview, *robot.cameras[1:]))
    world = World(TASKS[task](), robot)
    result = rollout(world, build_policy(find_model(FLAGSHIP), robot), robot, seed, film_s=0.1)
    world.close()
    figure = pyplot.figure(figsize=(12, 4.1), layout="constrained")
    grid = figure.add_gridspec(2, FRAMES, height_ratios=(2.6, 1))
    for i, k in enumerate(np.linspace(0.12, 1, FRAMES) * (len(result.film) - 1)):
        time_s, image = result.film[round(k)]
        axis = figure.add_subplot(grid[0, i])
        axis.imshow(image)
        axis.set_title(f"{time_s:.1f} s", fontsize=10)
        axis.axis("off")
    axis = figure.add_subplot(grid[1, :])
    times = [(g.stamp_ns - result.gates[0].stamp_ns) / 1e9 for g in result.gates]
    axis.stackplot(times, np.array([g.weight for g in result.gates]).T, colors=[f"C{i}" for i in range(8)])
    axis.set(xlim=(0, times[-1]), ylim=(0, 1), xlabel="time [s]", ylabel="gate")
    right = axis.twinx()
    right.step(times, [len(g.active) for g in result.gates], color="black", where="post")
    right.set(ylim=(0, 8.5), ylabel="active experts")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    print(f"{task}, seed {seed}: {'success' if result.success else 'failure'} after {result.time_s:.1f} s; {path}")


if __name__ == "__main__":
    draw("handover_to_bin", evaluation_seed(0, 3), Path("docs/images/task.png"))
