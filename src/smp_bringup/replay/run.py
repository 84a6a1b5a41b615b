"""The deployed sync, policy and safety code over a bag, in its time, without ROS and deterministic."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from smp_bringup import config, wire
from smp_bringup.action.planner import LATENCY_S, Plan
from smp_bringup.action.seam import DEFAULT_SEAM
from smp_bringup.bag.aligned import Feed, Trajectory, aligned_sets
from smp_bringup.bag.contents import Order
from smp_bringup.bag.episode import SAFETY_ATTACHMENT
from smp_bringup.bag.reader import Bag
from smp_bringup.errors import BagError, ConfigError, ModelError
from smp_bringup.observation.observer import Observer
from smp_bringup.pipeline import build_planner
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.replay.clock import CommandClock, Setpoints
from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig, load_safety, safety_of
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import (
    ActionChunk,
    AlignedSet,
    FloatArray,
    GateReport,
    ImageArray,
    JointSample,
    nanoseconds,
)


@dataclass(frozen=True)
class ReplaySettings:
    """How a bag is replayed."""

    seed: int = 0
    """Of the policy's noise."""
    safety: str = ""
    """Settings of the command core; empty: the robot's."""
    latency_s: float = LATENCY_S
    """From an observation to the arrival of its chunk."""
    seam: str = DEFAULT_SEAM
    """How chunks are joined, see `action.seam`; "latest" judges every chunk by itself."""
    film: bool = False
    """Whether to keep the reference camera's images."""
    allow_missing: bool = False
    """Whether a bag without leaders is scored without errors."""


@dataclass(frozen=True)
class ReplayResult:
    """Chunks of the policy at the replanning instants of a bag, beside what the leaders did."""

    name: str
    task: str
    chunks: tuple[ActionChunk, ...]
    gates: tuple[GateReport, ...]
    error: FloatArray
    """(N, T, J) predicted minus demonstrated [rad], grippers [m]; NaN after the demonstration's end."""
    leader_ns: np.ndarray
    """(L,) stamps of the demonstration."""
    leader: FloatArray
    """(L, J)."""
    setpoints: Setpoints
    skew_ns: dict[str, list[int]]
    """Per camera: distance of its frames from the reference's."""
    counters: Counter[str]
    """What sync paired and refused."""
    order: Order
    film: tuple[tuple[int, ImageArray], ...] = field(default=())
    """Stamps and images of the reference camera at the chunks, if asked for."""

    @property
    def digest(self) -> str:
        """Hash of every action and setpoint: equal bags, models and seeds give equal ones."""
        digest = hashlib.sha256()
        for chunk in self.chunks:
            digest.update(chunk.stamp_ns.to_bytes(8, "little") + chunk.position.tobytes())
        for row in self.setpoints.command:
            digest.update(row.tobytes())
        return digest.hexdigest()


def replay(bag: Bag, policy: AbstractPolicy, robot: Robot, settings: ReplaySettings = ReplaySettings()) -> ReplayResult:
    """Run the policy at every replanning instant of a bag; equal inputs give equal results, bit for bit.

    The bag is tested first: a broken one is refused before anything is scored.

    Raises:
        BagError: the bag is broken, lacks a topic, or has other joints.
        ConfigError: the policy was not trained for the seam.
        ModelError: not one chunk of the policy is finite.
    """
    order = bag.verify()
    run = _Run(bag, policy, robot, settings)
    for topic, log_ns, message in bag.messages(run.topics, run.refuse):
        run.push(topic, log_ns, message)
    return run.result(order)


def chunks_at(
    bag: Bag, policy: AbstractPolicy, robot: Robot, stamps_ns: Sequence[int], seed: int = 0
) -> dict[int, ActionChunk]:
    """Return the chunks of the observations with the given stamps: what a live policy must have said there."""
    wanted, observer = set(stamps_ns), Observer(robot, policy.config.observation_steps, 1e-9)
    observer.tell(bag.text, policy.words_of(bag.text))
    found = {}
    for aligned in aligned_sets(bag, robot):
        observation = observer.push(aligned)
        if observation is not None and observation.stamp_ns in wanted:
            found[observation.stamp_ns] = policy.infer(observation, seed)[0]
    return found


class _Run:
    """A bag on its way through the policy and the command core, and what is kept of it."""

    def __init__(self, bag: Bag, policy: AbstractPolicy, robot: Robot, settings: ReplaySettings) -> None:
        self._bag, self._robot, self._settings = bag, robot, settings
        topics = [joints.topic for joints in robot.operator_topics]
        leaderless = settings.allow_missing and not all(bag.counts.get(topic) for topic in topics)
        self._leaders = None if leaderless else Trajectory(bag, robot, robot.operator_topics)
        self._feed = Feed(bag, robot)
        self.refuse = self._feed.refuse
        self.topics = {*self._feed.topics, *(() if self._leaders is None else self._leaders.topics)}
        self._arms = {joints.topic: joints.arms for joints in robot.state_topics}
        self._orders = {arm.name: JointOrder(*arm.driver) for arm in robot.arms}
        self._observer = Observer(robot, policy.config.observation_steps, policy.config.replan_s)
        self._observer.tell(bag.text, policy.words_of(bag.text))
        self._planner = build_planner(policy, robot, settings.seam, settings.seed)
        self._clock = CommandClock(robot, _safety(bag, robot, settings.safety), settings.latency_s, self._planner)
        self._plans: list[Plan] = []
        self._film: list[tuple[int, ImageArray]] = []
        self._skew_ns: dict[str, list[int]] = {camera.name: [] for camera in robot.cameras}

    def push(self, topic: str, log_ns: int, message: Any) -> None:
        """Take a message of one of `topics`; sync and the command core see the same joint states, in the same order."""
        if self._leaders is not None and topic in self._leaders.topics:
            self._leaders.push(topic, message)
            return
        self._clock.advance(log_ns)
        for aligned in self._feed.push(topic, log_ns, message):
            self._plan(log_ns, aligned)
        for arm in self._arms.get(topic, ()):
            self._measure(arm.name, log_ns, message)

    def _measure(self, arm: str, log_ns: int, message: Any) -> None:
        try:
            position, velocity = self._orders[arm].map(*wire.told(message))
        except Refusal:  # sync has counted it
            return
        self._clock.on_state(arm, JointSample(log_ns, position, velocity), log_ns)

    def _plan(self, log_ns: int, aligned: AlignedSet) -> None:
        """Take a set, and plan if a chunk is due for it."""
        for name, distance in aligned.skew_ns.items():
            self._skew_ns[name].append(distance)
        observation = self._observer.push(aligned)
        if observation is None:
            return
        plan = self._planner.join(self._planner.infer(observation), self._settings.latency_s)
        self._plans.append(plan)
        self._clock.on_plan(plan, log_ns)
        if self._settings.film and plan.chunk is not None:
            self._film.append((log_ns, np.array(aligned.images[self._robot.cameras[0].name])))

    def result(self, order: Order) -> ReplayResult:
        """Return the chunks and what became of them; raises BagError or ModelError where there is none."""
        sent = [(plan.chunk, plan.gate) for plan in self._plans if plan.chunk is not None]
        if not sent:
            raise self._nothing()
        chunks, gates = zip(*sent, strict=True)
        none = np.zeros(0, np.int64), np.zeros((0, self._robot.dof))
        stamps, leader = none if self._leaders is None else self._leaders.positions()
        return ReplayResult(
            name=self._bag.path.name,
            task=self._bag.episode.get("task", ""),
            chunks=chunks,
            gates=gates,
            error=np.array([chunk.position - _wanted(chunk, stamps, leader) for chunk in chunks]),
            leader_ns=stamps,
            leader=leader,
            setpoints=self._clock.out,
            skew_ns=self._skew_ns,
            counters=self._feed.aligner.counters,
            order=order,
            film=tuple(self._film),
        )

    def _nothing(self) -> BagError | ModelError:
        """Return why there is no chunk to judge."""
        if self._plans:
            return ModelError(
                f"bag '{self._bag.path}': {len(self._plans)} chunks, none of them sent: {self._plans[0].cause}"
            )
        causes = ", ".join(f"{cause} {count}" for cause, count in self._feed.aligner.counters.most_common(4))
        return BagError(f"bag '{self._bag.path}': not one observation is complete: {causes or 'no message'}")


def _wanted(chunk: ActionChunk, stamps: np.ndarray, leader: FloatArray) -> FloatArray:
    """Return what the leaders did at the times of a chunk (T, J); NaN after the end."""
    if not len(stamps):
        return np.full(chunk.position.shape, np.nan)
    base = stamps[0]
    at = chunk.stamp_ns + np.arange(len(chunk.position)) * nanoseconds(chunk.period_s) - base
    return np.stack([np.interp(at, stamps - base, column, right=np.nan) for column in leader.T], axis=1)


def _safety(bag: Bag, robot: Robot, asked: str) -> SafetyConfig:
    """Return the safety settings asked for, else the robot's; where their file is on another machine, the bag's own."""
    named = safety_of(robot, asked)
    lost = Path(named).suffix in {".yaml", ".yml"} and not Path(named).is_file()
    if asked or not lost or SAFETY_ATTACHMENT not in bag.attachments:
        return load_safety(named)
    where = f"{bag.path.name}/{SAFETY_ATTACHMENT}"
    try:
        return config.build(SafetyConfig, config.parse_yaml(bag.attachments[SAFETY_ATTACHMENT], where), where)
    except ConfigError as error:
        raise ConfigError(f"{error}: name settings with --safety") from None
