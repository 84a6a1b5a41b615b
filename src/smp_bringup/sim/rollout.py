"""One episode of a policy in lockstep, through the deployed sync, observation, policy and command code."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from smp_bringup.observation.observer import Observer
from smp_bringup.pipeline import build_sync
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.robot import Robot
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.lockstep import Lockstep
from smp_bringup.sim.world import World
from smp_bringup.types import ActionChunk, Frame, GateReport, ImageArray, JointSample, nanoseconds

LATENCY_S = 0.06
"""A chunk takes effect so long after its observation."""


@dataclass
class EpisodeResult:
    """How an episode went."""

    task: str
    seed: int
    success: bool = False
    time_s: float = 0.0
    """When it succeeded, or its budget."""
    gates: list[GateReport] = field(default_factory=list)
    film: list[tuple[float, ImageArray]] = field(default_factory=list)
    """Time [s] and overview image, if asked for."""
    fault: str = ""
    """Reason of a fault that ended the episode."""


class PolicyDriver:
    """Feeds sensors to the policy and its chunks, a little later, to the command core."""

    def __init__(self, loop: Lockstep, policy: AbstractPolicy, seed: int, other: World | None = None) -> None:
        """Attach to `loop`; the policy sees the images of the world `other`, if given.

        `other` is a control: another layout of the objects with these arms in it, so that
        only what the cameras say about the objects is wrong.
        """
        self._loop, self._policy, self._seed, self._other = loop, policy, seed, other
        self._aligner = build_sync(loop.robot)
        self._observer = Observer(loop.robot, policy.config.observation_steps, policy.config.replan_s)
        self._flight: deque[tuple[int, ActionChunk]] = deque()
        self._period_ns = nanoseconds(policy.config.replan_s)
        self.gates: list[GateReport] = []
        loop.on_state, loop.on_frame, loop.wants_frame = self._on_state, self._on_frame, self._wants_frame

    def tick(self) -> None:
        """Infer what is due and deliver the chunks whose latency has passed."""
        for aligned in self._aligner.pop():
            observation = self._observer.push(aligned)
            if observation is not None:
                chunk, gate = self._policy.infer(observation, self._seed)
                self.gates.append(gate)
                self._flight.append((observation.stamp_ns + nanoseconds(LATENCY_S), chunk))
        while self._flight and self._flight[0][0] <= self._loop.now_ns:
            self._loop.command.on_chunk(self._flight.popleft()[1], self._loop.now_ns)

    def _wants_frame(self, camera: str, now_ns: int) -> bool:
        """Draw only what the policy will look at: its window before each replanning instant."""
        window = (self._policy.config.observation_steps - 1) * nanoseconds(self._loop.robot.action_period_s)
        until = -(now_ns - self._loop.start_ns) % self._period_ns
        return until <= window or self._loop.tick == 0

    def _on_state(self, arm: str, sample: JointSample) -> None:
        names = [joint.name for joint in self._loop.robot.arm(arm).joints]
        self._aligner.push_joints(arm, sample.stamp_ns, names, sample.position, sample.velocity, self._loop.now_ns)

    def _on_frame(self, camera: str, frame: Frame) -> None:
        if self._other is not None:
            self._other.pose_arms(self._loop.world.joint_state()[0])
            frame = Frame(frame.stamp_ns, self._other.render(camera))
        self._aligner.push_image(camera, frame, self._loop.now_ns)


def rollout(
    world: World,
    policy: AbstractPolicy,
    robot: Robot,
    seed: int,
    film_s: float = 0.0,
    other: World | None = None,
) -> EpisodeResult:
    """Run the episode of `seed` to success or the end of its budget.

    Args:
        world: of the task.
        policy: to be judged.
        robot: of both.
        seed: of the world, and of the policy's noise.
        film_s: spacing of the overview images kept in the result [s]; 0 keeps none.
        other: a world of another layout, whose images the policy sees instead (a control).
    """
    world.reset(seed)
    loop = Lockstep(world, robot)
    driver = PolicyDriver(loop, policy, seed, other)
    result = EpisodeResult(world.task.name, seed)
    loop.start(Mode.POLICY)
    for tick in range(round(world.task.config.budget_s / robot.control_period_s)):
        if film_s and tick % round(film_s / robot.control_period_s) == 0:
            result.film.append((world.time_s, np.array(world.render(robot.cameras[0].name))))
        driver.tick()
        loop.advance()
        if loop.command.mode is Mode.FAULT:
            result.fault = loop.command.verdict.reason
            break
        if world.succeeded():
            result.success = True
            break
    result.time_s, result.gates = world.time_s, driver.gates
    return result
