"""Counts control periods of a simulated robot under its command core in a second of a core, without cameras and policy.

Run: .venv/bin/python tools/lockstep_rate.py [--robot aloha] [--task stack_blocks] [--episodes 6] [--json FILE]

The scripted operator leads. The time of a core is counted, not that of the clock, so that what else the machine does
matters little; starting an episode is not counted.
"""

import argparse
import json
import time
from datetime import date
from pathlib import Path

from smp_bringup.robot import Robot, load_robot
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.lockstep import Lockstep
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.experts import ScriptedOperator
from smp_bringup.types import JointSample


def rate(world: World, robot: Robot, seed: int) -> float:
    """Return how many periods of the episode of `seed` a second of a core runs."""
    world.reset(seed)
    operator = ScriptedOperator(world.task, world.model, world.data, robot, seed)
    loop, period_s = Lockstep(world, robot, wants_frame=lambda camera, now: False), robot.control_period_s
    loop.start(Mode.TELEOP)
    begun = time.process_time()
    while world.time_s < operator.duration_s:
        here, there = (operator.target(world.time_s + ahead) for ahead in (0.0, period_s))
        loop.command.on_teleop(JointSample(loop.now_ns, here, (there - here) / period_s), loop.now_ns, loop.now_ns)
        loop.advance()
    return loop.tick / (time.process_time() - begun)


def main() -> None:
    """Count, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robot", default="aloha")
    parser.add_argument("--task", default="stack_blocks")
    parser.add_argument("--episodes", type=int, default=6)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    robot = load_robot(asked.robot)
    world = World(TASKS[asked.task](), robot)
    rates = [round(rate(world, robot, seed)) for seed in range(asked.episodes)]
    print(f"{asked.robot}, {asked.task}: {min(rates)} to {max(rates)} control periods a second of a core")
    if asked.json:
        done = {"date": f"{date.today()}", "robot": asked.robot, "task": asked.task, "rates": rates}
        asked.json.write_text(json.dumps(done) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
