"""Draws what each factor of config/variations changes, on two layouts: docs/images/factor_layouts.png."""

from pathlib import Path

from matplotlib import pyplot

from smp_bringup.paths import share
from smp_bringup.robot import load_robot
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS

TASK = "stack_blocks"
SEEDS = (3, 7)


def main() -> None:
    """Draw one column a factor, ordinary first."""
    robot = load_robot("aloha")
    levels = ["ordinary", *sorted(path.stem for path in share("config", "variations").glob("factor_*.yaml"))]
    figure, axes = pyplot.subplots(
        len(SEEDS), len(levels), figsize=(1.3 * len(levels), 1.45 * len(SEEDS)), layout="constrained"
    )
    for column, level in zip(axes.T, levels, strict=True):
        world = World(TASKS[TASK](level), robot)
        for axis, seed in zip(column, SEEDS, strict=True):
            world.reset(seed)
            axis.imshow(world.render(robot.cameras[0].name))
            axis.set(xticks=[], yticks=[])
        column[0].set_title(level.removeprefix("factor_"), fontsize=8)
        world.close()
    figure.savefig(Path("docs/images/factor_layouts.png"), dpi=85)


if __name__ == "__main__":
    main()
