"""Measures a cycle of the command core for each robot that ships, into docs/results (`make robots` first).

The scripted operator leads `lift_tray` in lockstep, ten episodes a robot; nothing else may run on the machine.
"""

import json
import time
from pathlib import Path

import numpy as np

from smp_bringup.action.teleop import Leaders
from smp_bringup.paths import share
from smp_bringup.robot import load_robot
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.demonstration import led_by_joints
from smp_bringup.sim.lockstep import Lockstep
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.experts import ScriptedOperator

SEEDS = range(1, 21, 2)


def cycles(world: World, seed: int) -> list[float]:
    """Return how long each cycle of one episode took [ms]."""
    world.reset(seed)
    robot, took = world.robot, []
    operator, led = ScriptedOperator(world.task, world.model, world.data, robot, seed), led_by_joints(robot)
    leaders, loop = Leaders(led), Lockstep(world, robot, wants_frame=lambda *_: False)
    loop.start(Mode.TELEOP)
    step = loop.command.step

    def timed(now_ns: int, steady_ns: int) -> object:
        begun = time.perf_counter()
        output = step(now_ns, steady_ns)
        took.append(1e3 * (time.perf_counter() - begun))
        return output

    loop.command.step = timed
    while not world.succeeded() and world.time_s < world.budget_s:
        target = operator.target(world.time_s)
        for arm in led.arms:
            said = arm.leader_joints.positions(target[robot.arm_slices[arm.name]])
            merged = leaders.push(arm.name, loop.now_ns, arm.leader_joints.names, said)
        loop.command.on_teleop(merged, loop.now_ns, loop.now_ns)
        loop.advance()
    return took


def main() -> None:
    """Measure all robots, and write the result."""
    found = {}
    for name in [path.stem for path in sorted(share("config", "robots").glob("*.yaml"))]:
        world = World(TASKS["lift_tray"](), load_robot(name))
        took = [each for seed in SEEDS for each in cycles(world, seed)]
        p50, p99 = np.percentile(took, [50, 99])
        found[name] = {"joints": world.robot.dof, "cycles": len(took)}
        found[name] |= {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "max_ms": round(max(took), 3)}
        print(name, found[name])
    Path("docs/results/command_cycle.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
