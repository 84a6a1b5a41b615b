"""The simulated robot in real time: worlds by task, a scripted operator, and the drivers' own watchdog."""

from collections.abc import Mapping

import numpy as np

from smp_bringup.action.teleop import Leaders
from smp_bringup.robot import Robot
from smp_bringup.sim.account import Account
from smp_bringup.sim.demonstration import led_by_joints
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.experts import ScriptedOperator
from smp_bringup.types import FloatArray, JointSample, seconds

COMMAND_TIMEOUT_S = 0.2
"""Drivers hold the arms by themselves when commands stop for so long."""


class LiveRobot:
    """Followers that obey setpoints, leaders that a scripted operator moves; time is an argument."""

    def __init__(self, robot: Robot, scripted: bool) -> None:
        self.robot, self._scripted = robot, scripted
        self._worlds: dict[str, World] = {}
        self._setpoint: dict[str, tuple[FloatArray, int]] = {}
        self._held = robot.joint_array("home")
        self._operator: ScriptedOperator | None = None
        self._operator_start_s: float | None = None
        self._led = led_by_joints(robot)
        self._merge = Leaders(self._led)
        self.episode = 0
        """Resets so far."""
        self.world: World

    def reset(self, task: str, seed: int) -> None:
        """Start an episode; raises UnknownNameError for an unknown task."""
        if task not in self._worlds:
            self._worlds[task] = World(TASKS[task](), self.robot)
        self.world, self.seed = self._worlds[task], seed
        self.world.reset(seed)
        self._account = Account(self.world)
        self.episode += 1
        self._setpoint, self._held = {}, self.robot.joint_array("home")
        self._operator_start_s = None
        self._operator = (
            ScriptedOperator(self.world.task, self.world.model, self.world.data, self.robot, seed)
            if self._scripted
            else None
        )

    def operate(self) -> str:
        """Let the operator begin; return what happened."""
        if self._operator is None:
            return "no scripted operator: start the simulator with operator:=scripted"
        self._operator_start_s = self.world.time_s
        return "the operator begins"

    def command(self, arm: str, position: FloatArray, steady_ns: int) -> None:
        """Take one arm's setpoint (n,)."""
        if np.isfinite(position).all():
            self._setpoint[arm] = position, steady_ns

    def step(self, duration_s: float, steady_ns: int) -> None:
        """Advance the physics; an arm without fresh commands holds its last pose."""
        for arm in self.robot.arms:
            part = self.robot.arm_slices[arm.name]
            position, arrival_ns = self._setpoint.get(arm.name, (self._held[part], steady_ns))
            if seconds(steady_ns - arrival_ns) > COMMAND_TIMEOUT_S:
                del self._setpoint[arm.name]
            self._held = self._held.copy()
            self._held[part] = position
        self.world.set_setpoint(self._held)
        self.world.step(duration_s)
        self._account.look()

    def leaders(self) -> FloatArray | None:
        """Return the leaders' joint positions (J,), or None without a scripted operator."""
        if self._operator is None:
            return None
        start = self._operator_start_s
        return self._operator.target(0.0 if start is None else self.world.time_s - start)

    def wanted(self, stamp_ns: int) -> JointSample | None:
        """Return what an operator without leader arms says of all joints (J,), or None without a scripted operator."""
        target, merged = self.leaders(), None
        if target is None:
            return None
        for arm in self._led.arms:
            said = arm.leader_joints.positions(target[self.robot.arm_slices[arm.name]])
            merged = self._merge.push(arm.name, stamp_ns, arm.leader_joints.names, said)
        return merged

    def state(self) -> Mapping[str, object]:
        """Return what /sim/state says."""
        started = self._operator_start_s
        running = "idle"
        if started is not None and self._operator is not None:
            finished = self.world.time_s - started > self._operator.duration_s
            running = "finished" if finished else "running"
        return {
            "task": self.world.task.name,
            "seed": self.seed,
            "episode": self.episode,
            "time_s": round(self.world.time_s, 3),
            "budget_s": self.world.budget_s,
            "success": int(self.world.succeeded()),
            "operator": running,
            "touched": self._account.touched,
            "lacks": self._account.lacks,
        }

    def close(self) -> None:
        """Free the GL contexts."""
        for world in self._worlds.values():
            world.close()
