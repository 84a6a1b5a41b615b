"""Writes the table of the scripted operator into docs/tasks.md: how many of 20 layouts of level v2 it solves."""

import platform
import re
from datetime import date
from pathlib import Path

from smp_bringup.robot import load_robot
from smp_bringup.sim.state_track import Follower
from smp_bringup.sim.world import World
from smp_bringup.tasks import GROUPS, TASKS
from smp_bringup.tasks.experts import ScriptedOperator

SEEDS = range(1, 41, 2)
PAGE = Path("docs/tasks.md")
_TABLE = re.compile(r"(<!-- table operator: [^\n]*-->\n).*?(<!-- end of table -->)", re.S)


def solved(world: World, seed: int) -> float | None:
    """Return when the operator, followed as in the state track, has solved the layout of `seed` [s]; None: not."""
    world.reset(seed)
    operator = ScriptedOperator(world.task, world.model, world.data, world.robot, seed)
    follower = Follower(world.robot, world.robot.joint_array("home"))
    while world.time_s < world.budget_s and not world.succeeded():
        world.set_setpoint(follower.follow(operator.target(world.time_s)))
        world.step(world.robot.control_period_s)
    return world.time_s if world.succeeded() else None


def main() -> None:
    """Try every task of benchmark v2, and write what was seen."""
    rows = ["| task | solved | slowest [s] | budget [s] |", "|---|---|---|---|"]
    for name in GROUPS["v2"]:
        world = World(TASKS[name]("v2"), load_robot("aloha"))
        times = [time_s for time_s in (solved(world, seed) for seed in SEEDS) if time_s is not None]
        rows.append(f"| `{name}` | {len(times)}/{len(SEEDS)} | {max(times, default=0):.1f} | {world.budget_s:g} |")
        print(rows[-1], flush=True)
    rows += ["", f"*`python tools/operator_success.py`, {date.today().isoformat()}, {platform.machine()}.*", ""]
    PAGE.write_text(_TABLE.sub(lambda found: found[1] + "\n".join(rows) + found[2], PAGE.read_text()))


if __name__ == "__main__":
    main()
