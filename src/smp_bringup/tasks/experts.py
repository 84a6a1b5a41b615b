"""The scripted operator: moves the leader arms so that the followers solve the task."""

from collections.abc import Callable

import numpy as np

from smp_bringup.kinematics import ArmKinematics
from smp_bringup.robot import Robot
from smp_bringup.simulation import SIDES, Simulation, load_simulation
from smp_bringup.tasks.base import AbstractTask
from smp_bringup.tasks.script import OUTWARD, Hand, Script
from smp_bringup.types import FloatArray


class ScriptedMotion:
    """Joint targets of both leaders over time, of a motion that is planned at once."""

    def __init__(
        self,
        solve: Callable[[Script], None],
        model: object,
        robot: Robot,
        simulation: Simulation | None = None,
        way: int = 0,
        stagger_s: float = 0.0,
    ) -> None:
        """Plan what `solve` writes into a script.

        Args:
            solve: says what both hands do.
            model: MjModel with the robot of the simulation in it; not changed.
            robot: whose arms are moved.
            simulation: of the robot, by default the one that its file names.
            way: how to solve the task where there are two ways (0 or 1).
            stagger_s: the leading hand begins so much earlier where both hands work alike [s].

        Raises:
            UnreachableError: a waypoint cannot be reached.
        """
        simulation = simulation or load_simulation(robot)
        hands = {}
        for side, held in simulation.hands.items():
            kinematics = ArmKinematics(model, robot, simulation, side)  # type: ignore[arg-type]
            home = robot.joint(held.gripper).home if held.gripper else 0.0
            hands[side] = Hand(kinematics, held.opening(home), OUTWARD[side], simulation.meeting)
        script = Script(hands, way, stagger_s)
        solve(script)
        self._times, moved = script.trajectory()
        self._times = self._times * simulation.pace
        self._targets = np.tile(robot.joint_array("home"), (len(self._times), 1))
        for side, rows in moved.items():
            held = simulation.hands[side]
            self._targets[:, hands[side].kinematics.columns] = rows[:, :-1]
            if held.gripper:
                joint, column = robot.joint(held.gripper), robot.joint_names.index(held.gripper)
                self._targets[:, column] = np.clip(held.grip(rows[:, -1]), joint.min, joint.max)
        self._hands, self._pace = tuple(hands.values()), simulation.pace

    @property
    def duration_s(self) -> float:
        """Length of the motion [s]."""
        return float(self._times[-1])

    def phase(self, time_s: float) -> tuple[int, ...]:
        """Return which of its movements each hand makes at `time_s`, counted from 0."""
        return tuple(hand.movement(time_s / self._pace) for hand in self._hands)

    def target(self, time_s: float) -> FloatArray:
        """Return the leaders' joint positions (J,) at `time_s` since the start, the last one after the end."""
        knot = min(max(time_s / self._times[1], 0.0), len(self._times) - 1.0)
        before = min(int(knot), len(self._times) - 2)
        share = knot - before
        target: FloatArray = (1 - share) * self._targets[before] + share * self._targets[before + 1]
        return target


class ScriptedOperator(ScriptedMotion):
    """The motion that solves one layout of a task."""

    def __init__(
        self,
        task: AbstractTask,
        model: object,
        data: object,
        robot: Robot,
        seed: int,
        simulation: Simulation | None = None,
    ) -> None:
        """Plan from `model` (MjModel) and `data` (MjData) right after a reset, neither is changed.

        `seed` draws the way to solve it; `simulation` is the robot's, by default the one that its file names.
        """
        drawn = int(np.random.default_rng([seed, 1]).uniform() < task.variation.second_way)
        way = SIDES.index(task.leads) if task.leads else drawn

        def solve(script: Script) -> None:
            task.solve(model, data, script)  # type: ignore[arg-type]

        super().__init__(solve, model, robot, simulation, way, task.variation.stagger_s)
