"""The state track: episodes in which object poses take the place of images, as cheaply as they can be run.

The camera track runs everything that is deployed: aligner, observer, checks and the
jerk-limited command core. Here an observation is read straight from the world at each
replanning instant, and a plain follower takes the place of the command core, because
the core plans a jerk-limited motion in every cycle, a large share of an episode's cost.
The chunk buffer, the latency of a chunk, the physics and the predicates are the same;
the seam between chunks is not: the newest chunk is followed from its arrival. So the
state track compares methods; what is deployed is judged on the camera track.
"""

from collections import deque

import numpy as np

from smp_bringup.action.chunk_buffer import ChunkBuffer
from smp_bringup.action.planner import LATENCY_S
from smp_bringup.pipeline import build_planner
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.robot import Robot
from smp_bringup.sim.account import Account
from smp_bringup.sim.collisions import Collisions
from smp_bringup.sim.lockstep import START_NS
from smp_bringup.sim.rollout import EpisodeResult, rms_jerk
from smp_bringup.sim.state_ring import StateRing
from smp_bringup.sim.world import World
from smp_bringup.types import ActionChunk, FloatArray, GateReport, nanoseconds

STATE_SEAM = "latest"
"""What this track does where chunks meet, see above."""


class Follower:
    """Follows the newest chunk within the limits on position and velocity; holds when there is none."""

    def __init__(self, robot: Robot, position: FloatArray) -> None:
        """Begin at rest at `position` (J,)."""
        self._chunks = ChunkBuffer(robot.dof)
        self._low, self._high = robot.joint_array("min"), robot.joint_array("max")
        self._step = robot.joint_array("velocity") * robot.control_period_s
        self._position = np.clip(position, self._low, self._high)

    def on_chunk(self, chunk: ActionChunk, now_ns: int) -> str | None:
        """Take a chunk, or return why it is refused."""
        return self._chunks.put(chunk, now_ns)

    def step(self, now_ns: int) -> FloatArray:
        """Return the setpoint (J,) of this control period."""
        target = self._chunks.sample(now_ns)
        return self._position if target is None else self.follow(target[0])

    def follow(self, target: FloatArray) -> FloatArray:
        """Return the setpoint (J,) of this control period on the way to `target` (J,)."""
        move = np.clip(target - self._position, -self._step, self._step)
        self._position = np.clip(self._position + move, self._low, self._high)
        return self._position


class StateDriver:
    """Observes the world, asks the policy when a chunk is due, and hands it over a little later."""

    def __init__(self, world: World, robot: Robot, policy: AbstractPolicy, seed: int, say: str = "") -> None:
        self._world, self._robot = world, robot
        self.planner = build_planner(policy, robot, STATE_SEAM, seed)
        config = policy.config
        self._period_ns, self._replan_ns = nanoseconds(robot.action_period_s), nanoseconds(config.replan_s)
        self._ring = StateRing(world, config.observation_steps, policy.words_of(say or world.task.config.text))
        self._flight: deque[tuple[int, ActionChunk]] = deque()
        self._due_ns = START_NS
        self.now_ns = START_NS
        self.follower = Follower(robot, robot.joint_array("home"))
        self.gates: list[GateReport] = []

    def step(self) -> FloatArray:
        """Run one control period: observe, infer, follow, advance the physics; return the setpoint (J,)."""
        if (self.now_ns - START_NS) % self._period_ns == 0:
            observation = self._ring.look(self.now_ns)
            if self.now_ns >= self._due_ns and observation is not None:
                self._due_ns = self.now_ns + self._replan_ns
                plan = self.planner.join(self.planner.infer(observation), LATENCY_S)
                self.gates.append(plan.gate)
                if plan.chunk is not None:
                    self._flight.append((self.now_ns + nanoseconds(LATENCY_S), plan.chunk))
        while self._flight and self._flight[0][0] <= self.now_ns:
            self.follower.on_chunk(self._flight.popleft()[1], self.now_ns)
        setpoint = self.follower.step(self.now_ns)
        self._world.set_setpoint(setpoint)
        self._world.step(self._robot.control_period_s)
        self.now_ns += nanoseconds(self._robot.control_period_s)
        return setpoint


def state_rollout(
    world: World, policy: AbstractPolicy, robot: Robot, seed: int, film_s: float = 0.0, say: str = ""
) -> EpisodeResult:
    """Run the episode of `seed` to success or the end of its budget; arguments as of `sim.rollout.rollout`."""
    world.reset(seed)
    driver = StateDriver(world, robot, policy, seed, say)
    result = EpisodeResult(world.task.name, seed)
    collisions, look_every = Collisions(world.model, robot), round(robot.action_period_s / robot.control_period_s)
    account, setpoints = Account(world), []
    for tick in range(round(world.budget_s / robot.control_period_s)):
        if film_s and tick % round(film_s / robot.control_period_s) == 0:
            result.film.append((world.time_s, world.render(robot.cameras[0].name).copy()))
        setpoints.append(driver.step())
        if tick % look_every == 0:
            collisions.look(world.data)
            account.look()
        if world.succeeded():
            result.success = True
            break
    result.jerk = rms_jerk(robot, setpoints, 3)
    result.arm_collisions, result.table_collisions = collisions.arms, collisions.table
    result.time_s, result.gates, result.planned = world.time_s, driver.gates, driver.planner.counters
    result.touched, result.lacks = account.touched, account.lacks
    return result
