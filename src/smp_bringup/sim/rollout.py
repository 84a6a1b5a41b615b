"""One episode of a policy in lockstep, through the deployed sync, observation, policy, seam and command code."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from smp_bringup.action.planner import LATENCY_S
from smp_bringup.action.seam import DEFAULT_SEAM
from smp_bringup.observation.observer import Observer
from smp_bringup.pipeline import build_planner, build_sync
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.robot import Robot
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.account import Account
from smp_bringup.sim.collisions import Collisions
from smp_bringup.sim.lockstep import Lockstep
from smp_bringup.sim.state_ring import StateRing
from smp_bringup.sim.world import World
from smp_bringup.types import (
    ActionChunk,
    FloatArray,
    Frame,
    GateReport,
    ImageArray,
    JointSample,
    Observation,
    Severity,
    nanoseconds,
)

_EXECUTED_STEPS = 8
"""Actions that are executed between two inferences when the arms wait for inference."""


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
    planned: dict[str, int] = field(default_factory=dict)
    """Chunks sent, and what the deadline made the policy give up: the counters of `action.planner`."""
    seam_jumps: list[float] = field(default_factory=list)
    """By how much each chunk moved the setpoint of the instant it took effect, largest arm joint [rad]."""
    pause_s: float = 0.0
    """For how long the source had nothing to say after its first chunk."""
    jerk: float = 0.0
    """Root mean square of the jerk of all published arm joints [rad/s^3]."""
    touched: str = ""
    """Which hand touched which object last."""
    lacks: str = ""
    """How far the scene was from what the task wants, at the end."""
    held_s: dict[str, float] = field(default_factory=dict)
    """For how long each safety check held the arms [s]."""
    arm_collisions: int = 0
    """Times that the arms came to touch each other."""
    table_collisions: int = 0
    """Times that an arm came to press on the table."""


@dataclass(frozen=True)
class Timing:
    """How inference takes its time, and how its chunks are joined."""

    delay_s: float = LATENCY_S
    """From the start of an inference to the arrival of its chunk."""
    seam: str = DEFAULT_SEAM
    synchronous: bool = False
    """Whether the arms wait for inference: part of a chunk is executed to its end, then the next is computed, with
    nothing to join."""
    deadline_s: float = inf
    """An inference that takes longer makes the next one cheaper, see `action.deadline`; by default none is late."""
    costs_s: tuple[float, ...] = ()
    """What an inference takes at each level, as it would have been measured; by default that is not known."""

    def took_s(self, gate: GateReport) -> float:
        """Return how long the inference behind `gate` took [s]; a subclass may let it depend on what was computed."""
        return self.delay_s


class PolicyDriver:
    """Feeds sensors to the policy and its chunks, a little later, to the command core."""

    def __init__(
        self,
        loop: Lockstep,
        policy: AbstractPolicy,
        seed: int,
        timing: Timing,
        say: str,
        other: World | None = None,
    ) -> None:
        """Attach to `loop`; the policy is told `say`, and sees the images of the world `other`, if given.

        `other` is a control: another layout of the objects with these arms in it, so that
        only what the cameras say about the objects is wrong.
        """
        self._loop, self._policy, self._timing, self._other = loop, policy, timing, other
        seam = "latest" if timing.synchronous else timing.seam
        self.planner = build_planner(policy, loop.robot, seam, seed, timing.deadline_s, timing.costs_s)
        self._aligner = build_sync(loop.robot)
        state = policy.config.track == "state"
        words = policy.words_of(say)
        self._ring = StateRing(loop.world, policy.config.observation_steps, words) if state else None
        self._observer = Observer(loop.robot, policy.config.observation_steps, policy.config.replan_s)
        self._observer.tell(say, words)
        self._flight: deque[tuple[int, ActionChunk]] = deque()
        self._latest: Observation | None = None
        self._free_ns = loop.start_ns
        self._due_ns = loop.start_ns
        self._arms = loop.robot.turning
        self.gates: list[GateReport] = []
        self.seam_jumps: list[float] = []
        loop.on_state, loop.on_frame, loop.wants_frame = self._on_state, self._on_frame, self._wants_frame

    def tick(self) -> None:
        """Take what the sensors said, infer if it is time, and deliver the chunks whose delay has passed."""
        now = self._loop.now_ns
        for observation in self._observations(now):
            self._latest = self._latest if observation is None else observation
        self._deliver(now)
        if self._latest is not None and now >= self._free_ns and self._observer.due(self._latest):
            self._infer(self._latest, now)
            self._deliver(now)

    def _observations(self, now: int) -> Iterable[Observation | None]:
        if self._ring is None:
            return [self._observer.observe(aligned) for aligned in self._aligner.pop()]
        due = (now - self._loop.start_ns) % nanoseconds(self._loop.robot.action_period_s) == 0
        return [self._ring.look(now)] if due else []

    def _infer(self, observation: Observation, now: int) -> None:
        inference = self.planner.infer(observation)
        took_s = self._timing.took_s(inference.gate)
        chunk = self.planner.join(inference, took_s).chunk
        self.gates.append(inference.gate)
        arrival = self._free_ns = now + nanoseconds(took_s)
        if chunk is not None and self._timing.synchronous:
            chunk = replace(chunk, stamp_ns=arrival, position=chunk.position[:_EXECUTED_STEPS])
            self._free_ns = arrival + nanoseconds(len(chunk.position) * chunk.period_s)
        if chunk is not None:
            self._flight.append((arrival, chunk))
        self._due_ns = max(self._free_ns, observation.stamp_ns + nanoseconds(self._policy.config.replan_s))

    def _deliver(self, now: int) -> None:
        if not self._flight or self._flight[0][0] > now:
            return
        chunk = self._flight.popleft()[1]
        if self._loop.command.on_chunk(chunk, now, now) is None:
            self.planner.follows(chunk.stamp_ns, now)
            jump = self._loop.command.jump
            if jump is not None:
                self.seam_jumps.append(float(jump[self._arms].max()))

    def _wants_frame(self, camera: str, now_ns: int) -> bool:
        """Draw only what the policy may look at: its window before the instant at which it is next free."""
        if self._ring is not None:
            return False
        robot = self._loop.robot
        window = (self._policy.config.observation_steps - 1) * nanoseconds(robot.action_period_s)
        newest = nanoseconds(1 / robot.camera(camera).rate_hz)
        return now_ns + window + newest > self._due_ns

    def _on_state(self, sample: JointSample) -> None:
        for joints in self._loop.robot.state_topics:
            said = joints.names, joints.positions(sample.position), joints.velocities(sample.velocity)
            for arm in joints.arms:
                refused = self._aligner.push_joints(arm.name, sample.stamp_ns, *said, self._loop.now_ns)
                if refused:
                    raise RuntimeError(f"the simulated driver of arm '{arm.name}' is not understood: {refused}")

    def _on_frame(self, camera: str, frame: Frame) -> None:
        if self._other is not None:
            self._other.pose_arms(self._loop.world.joint_state()[0])
            frame = Frame(frame.stamp_ns, self._other.render(camera))
        self._aligner.push_image(camera, frame, self._loop.now_ns)


def rms_jerk(robot: Robot, values: Sequence[FloatArray], order: int) -> float:
    """Return the root mean square jerk [rad/s^3] of all arm joints.

    Args:
        robot: of the joints.
        values: (J,) per control period.
        order: how often they must be differentiated to be jerks: 1 for accelerations, 3 for positions.
    """
    jerk = np.diff(np.array(values)[:, robot.turning], order, axis=0) / robot.control_period_s**order
    return float(np.sqrt(np.mean(jerk**2))) if len(jerk) else 0.0


def rollout(
    world: World,
    policy: AbstractPolicy,
    robot: Robot,
    seed: int,
    film_s: float = 0.0,
    other: World | None = None,
    timing: Timing | None = None,
    say: str = "",
) -> EpisodeResult:
    """Run the episode of `seed` to success or the end of its budget.

    Args:
        world: of the task.
        policy: to be judged.
        robot: of both.
        seed: of the world, and of the policy's noise.
        film_s: spacing of the overview images kept in the result [s]; 0 keeps none.
        other: a world of another layout, whose images the policy sees instead (a control).
        timing: delay of inference and seam between chunks; by default the deployed ones.
        say: what a policy with words is told to do; by default the text of the task.
    """
    world.reset(seed)
    loop = Lockstep(world, robot)
    driver = PolicyDriver(loop, policy, seed, timing or Timing(), say or world.task.config.text, other)
    result = EpisodeResult(world.task.name, seed)
    collisions, look_every = Collisions(world.model, robot), round(robot.action_period_s / robot.control_period_s)
    account, accelerations = Account(world), []
    loop.start(Mode.POLICY)
    for tick in range(round(world.budget_s / robot.control_period_s)):
        if film_s and tick % round(film_s / robot.control_period_s) == 0:
            result.film.append((world.time_s, np.array(world.render(robot.cameras[0].name))))
        driver.tick()
        accelerations.append(loop.advance().acceleration)
        if tick % look_every == 0:
            collisions.look(world.data)
            account.look()
        if loop.output is not None and loop.output.verdict.severity >= Severity.HOLD and loop.command.mode.follows:
            result.pause_s += robot.control_period_s
            check = loop.output.verdict.check
            result.held_s[check] = result.held_s.get(check, 0.0) + robot.control_period_s
        if loop.command.mode is Mode.FAULT:
            result.fault = loop.command.verdict.reason
            break
        if world.succeeded():
            result.success = True
            break
    result.jerk = rms_jerk(robot, accelerations, 1)
    result.arm_collisions, result.table_collisions = collisions.arms, collisions.table
    result.time_s, result.gates, result.seam_jumps = world.time_s, driver.gates, driver.seam_jumps
    result.planned = driver.planner.counters
    result.touched, result.lacks = account.touched, account.lacks
    return result
