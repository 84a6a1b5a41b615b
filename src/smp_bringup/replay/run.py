"""The deployed sync, policy and safety code over a bag, in its time, without ROS and deterministic."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from smp_bringup.action.seam import DEFAULT_SEAM, Seam
from smp_bringup.bag.aligned import Feed, Trajectory, leader_topics
from smp_bringup.bag.contents import Order
from smp_bringup.bag.reader import Bag
from smp_bringup.errors import BagError
from smp_bringup.observation.observer import Observer
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.replay.clock import CommandClock, Setpoints
from smp_bringup.robot import Robot
from smp_bringup.sync.checks import JointOrder, Refusal
from smp_bringup.types import (
    ActionChunk,
    AlignedSet,
    FloatArray,
    GateReport,
    ImageArray,
    JointSample,
    Observation,
    nanoseconds,
)

LATENCY_S = 0.06
"""A chunk arrives so long after its observation, as in closed-loop simulation."""


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


def replay(
    bag: Bag,
    policy: AbstractPolicy,
    robot: Robot,
    seed: int = 0,
    *,
    safety: str = "default",
    latency_s: float = LATENCY_S,
    seam: str = DEFAULT_SEAM,
    film: bool = False,
    allow_missing: bool = False,
) -> ReplayResult:
    """Run the policy at every replanning instant of a bag; equal inputs give equal results, bit for bit.

    Args:
        bag: tested first; a broken one is refused before anything is scored.
        policy: to be judged.
        robot: of both.
        seed: of the policy's noise.
        safety: settings of the command core.
        latency_s: from an observation to the arrival of its chunk.
        seam: how chunks are joined, see `action.seam`; "latest" judges every chunk by itself.
        film: whether to keep the reference camera's images.
        allow_missing: whether a bag without leaders is scored without errors.

    Raises:
        BagError: the bag is broken, lacks a topic, or has other joints.
    """
    order = bag.verify()
    told = None if allow_missing and _leaderless(bag, robot) else Trajectory(bag, robot, list(leader_topics(robot)))
    feed, joint = Feed(bag, robot), Seam(seam, robot.dof, robot.action_period_s, robot.control_period_s)
    clock = CommandClock(robot, safety, latency_s, joint)
    observer = Observer(robot, policy.config.observation_steps, policy.config.replan_s)
    chunks, gates, kept = list[ActionChunk](), list[GateReport](), list[tuple[int, ImageArray]]()
    skew = {camera.name: list[int]() for camera in robot.cameras}
    for log_ns, aligned in _sets(bag, robot, feed, clock, told):
        _add(skew, aligned)
        if (observation := observer.push(aligned)) is None:
            continue
        chunk, gate = _infer(policy, joint, observation, seed)
        clock.on_chunk(chunk)
        chunks, gates = [*chunks, chunk], [*gates, gate]
        if film:
            kept.append((log_ns, np.array(aligned.images[robot.cameras[0].name])))
    _require_chunks(chunks, bag, feed)
    stamps, leader = told.positions() if told is not None else (np.zeros(0, np.int64), np.zeros((0, robot.dof)))
    return ReplayResult(
        bag.path.name,
        bag.episode.get("task", ""),
        tuple(chunks),
        tuple(gates),
        np.array([c.position - _wanted(c, stamps, leader) for c in chunks]),
        stamps,
        leader,
        clock.out,
        skew,
        feed.aligner.counters,
        order,
        tuple(kept),
    )


def chunks_at(
    bag: Bag, policy: AbstractPolicy, robot: Robot, stamps_ns: Sequence[int], seed: int = 0
) -> dict[int, ActionChunk]:
    """Return the chunks of the observations with the given stamps: what a live policy must have said there."""
    wanted, feed = set(stamps_ns), Feed(bag, robot)
    observer = Observer(robot, policy.config.observation_steps, 1e-9)
    found = {}
    for _, aligned in _sets(bag, robot, feed):
        observation = observer.push(aligned)
        if observation is not None and observation.stamp_ns in wanted:
            found[observation.stamp_ns] = policy.infer(observation, seed)[0]
    return found


def _infer(policy: AbstractPolicy, seam: Seam, observation: Observation, seed: int) -> tuple[ActionChunk, GateReport]:
    """Return the chunk as it is sent, joined to the one before, and what the gate did."""
    committed = seam.committed(observation.stamp_ns)
    chunk, gate = policy.infer(observation, seed, committed)
    return seam.join(chunk, committed), gate


def _add(skew: dict[str, list[int]], aligned: AlignedSet) -> None:
    for name, distance in aligned.skew_ns.items():
        skew[name].append(distance)


def _require_chunks(chunks: Sequence[ActionChunk], bag: Bag, feed: Feed) -> None:
    if not chunks:
        causes = ", ".join(f"{cause} {count}" for cause, count in feed.aligner.counters.most_common(4))
        raise BagError(f"bag '{bag.path}': not one observation is complete: {causes or 'no message'}")


def _leaderless(bag: Bag, robot: Robot) -> bool:
    return any(not bag.counts.get(topic) for topic in leader_topics(robot))


def _sets(
    bag: Bag, robot: Robot, feed: Feed, clock: CommandClock | None = None, told: Trajectory | None = None
) -> Iterator[tuple[int, AlignedSet]]:
    """Yield log time and aligned set; the command core sees the same joint states, in the same order."""
    arms = {a.state_topic: a.name for a in robot.arms}
    orders = {a.name: JointOrder([j.name for j in a.joints]) for a in robot.arms}
    topics = {*feed.topics, *(told.topics if told is not None else ())}
    for topic, log_ns, message in bag.messages(topics):
        if told is not None and topic in told.topics:
            told.push(topic, message)
            continue
        if clock is not None:
            clock.advance(log_ns)
        for aligned in feed.push(topic, log_ns, message):
            yield log_ns, aligned
        if clock is not None and topic in arms:
            try:
                position, velocity = orders[arms[topic]].map(message.name, message.position, message.velocity)
            except Refusal:
                continue
            clock.on_state(arms[topic], JointSample(log_ns, position, velocity), log_ns)


def _wanted(chunk: ActionChunk, stamps: np.ndarray, leader: FloatArray) -> FloatArray:
    """Return what the leaders did at the times of a chunk (T, J); NaN after the end."""
    if not len(stamps):
        return np.full(chunk.position.shape, np.nan)
    base = stamps[0]
    at = chunk.stamp_ns + np.arange(len(chunk.position)) * nanoseconds(chunk.period_s) - base
    return np.stack([np.interp(at, stamps - base, column, right=np.nan) for column in leader.T], axis=1)
