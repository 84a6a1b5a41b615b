"""Robots beside the shipped one, led from random starts into each other as fast as they may: judged by MuJoCo's shapes.

Five starts each in the tests; `SMP_STARTS=100 pytest -rP tests/contract/test_robots_never_touch.py` tries more.
"""

import os
from collections import Counter
from dataclasses import replace
from importlib.util import find_spec

import mujoco
import numpy as np
import pytest

from smp_bringup.body import Body
from smp_bringup.robot import load_robot
from smp_bringup.safety.command import CommandCore
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.scene import DRAWN_TYPE
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.types import JointSample, Severity, nanoseconds

pytestmark = pytest.mark.skipif(find_spec("robosuite") is None, reason="models of the robots are missing: make robots")

STARTS = int(os.environ.get("SMP_STARTS", "5"))
REST_S = 0.8
"""In which an arm that was stopped comes to rest."""
FAR_M = 0.05


class Party:
    """A simulated robot, its command core and what the shapes of both sides say."""

    def __init__(self, name):
        self.robot = load_robot(name)
        self.world = World(TASKS["lift_tray"](), self.robot)
        self.config = replace(load_safety(self.robot.safety), ramp_in_s=0.01)
        self.body = Body(self.robot, self.config.self_gap)
        self.links = ~self.body.touching[self.body.across]
        self.home = self.robot.joint_array("home")
        model = self.world.model
        owners = [model.body(body).name.split("_")[0] for body in model.geom_bodyid]
        solid = [k for k in range(model.ngeom) if model.geom_contype[k] not in (0, DRAWN_TYPE)]
        self.sides = [[k for k in solid if owners[k] == side] for side in ("left", "right")]
        self.fingers = {k for k in solid if "_finger" in model.geom(k).name[: len("right_finger")]}

    def gap(self):
        """Return the distance of the shapes of both sides [m], at most `FAR_M`; fingertips may meet, slowly."""
        model, data = self.world.model, self.world.data
        near = [FAR_M]
        for a in self.sides[0]:
            for b in self.sides[1]:
                if {a, b} <= self.fingers:
                    continue
                reach = model.geom_rbound[a] + model.geom_rbound[b] + FAR_M  # what is farther cannot be nearer
                if np.linalg.norm(data.geom_xpos[a] - data.geom_xpos[b]) < reach:
                    near.append(mujoco.mj_geomDistance(model, data, a, b, 0.2, None))
        return min(near)

    def draw(self, rng, spread, wanted):
        """Return a random pose (J,) around home, hands above the table, whose distances across are as wanted."""
        low, high = self.robot.joint_array("min"), self.robot.joint_array("max")
        while True:
            poses = np.clip(self.home + rng.uniform(-spread, spread, (64, self.robot.dof)), low, high)
            lowest = np.min([hand[..., 2].min(axis=1) for hand in self.body.hands(poses)], axis=0)
            for pose, distance, height in zip(poses, self.body.distances(poses), lowest, strict=True):
                if height > 0.03 and distance[~self.body.across].min() > 0.02 and wanted(distance[self.body.across]):
                    return pose

    def seconds(self, way):
        """Return how long a joint takes at least for a way (J,) that begins and ends at rest, as the operator leads."""
        speed = 0.95 * self.config.velocity_scale * self.robot.joint_array("velocity")
        pace = 0.9 * self.robot.joint_array("acceleration")
        return 1.4 * max(
            (1.5 * np.abs(way) / speed).max(), np.sqrt(6 * np.abs(way) / pace).max()
        )  # jerk takes its part

    def lead(self, start, goal):
        """Lead the arms from start to goal; return the smallest gap [m], and what the command core said last."""
        robot, world, period = self.robot, self.world, self.robot.control_period_s
        world.reset(0)
        world.pose_arms(start)
        world.data.qvel[:] = 0
        world.set_setpoint(start)
        core, whole_s, nearest = CommandCore(robot, self.config), self.seconds(goal - start), FAR_M
        for cycle in range(round((whole_s + REST_S) / period)):
            now = nanoseconds(1 + cycle * period)
            position, velocity = world.joint_state()
            for arm in robot.arms:
                part = robot.arm_slices[arm.name]
                core.on_state(arm.name, JointSample(now, position[part], velocity[part]), now)
            if cycle == 0:
                assert core.arm(now).ok
            share = min(1.0, cycle * period / whole_s)
            at, slope = 3 * share**2 - 2 * share**3, 6 * (share - share**2) / whole_s
            core.on_teleop(JointSample(now, start + at * (goal - start), slope * (goal - start)), now, now)
            if cycle == 0:
                assert core.use(Mode.TELEOP, now, now).ok
            output = core.step(now, now)
            if output.command is not None:  # nothing is told to arms that the table holds up
                world.set_setpoint(output.command.position)
            world.step(period)
            if self.body.distances(world.joint_state()[0][None])[0][self.body.across].min() < 0.03:
                nearest = min(nearest, self.gap())
        return nearest, output


@pytest.mark.parametrize("name", ["dual_ur5e", "dual_panda", "dual_so101", "baxter"])
def test_arms_that_are_led_into_each_other_stop_short_of_contact(name):
    party, rng = Party(name), np.random.default_rng(7)
    gaps, checks = [], Counter()
    for _ in range(STARTS):
        start = party.draw(rng, 0.5, lambda distance: distance.min() > 0.08)
        goal = party.draw(rng, 1.4, lambda distance: distance[party.links].min() < -0.03)
        nearest, last = party.lead(start, goal)
        assert last.verdict.severity >= Severity.HOLD
        assert last.command is None or not last.command.velocity.any()
        gaps.append(nearest)
        checks[last.verdict.check] += 1
    party.world.close()
    print(f"{name}: {STARTS} starts, smallest gap {1e3 * min(gaps):.1f} mm, stopped by {dict(checks)}")
    assert 0 < min(gaps) < FAR_M
    # Who is held back falls behind its source; who meets the table, behind the setpoint.
    assert set(checks) <= {"arm_distance", "source_near", "state_near", "arms_follow"}
