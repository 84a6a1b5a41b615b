"""Aligners compared on the same streams, sound and poisoned: pairs made, skew, error of the joint positions, time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from smp_bringup import wire
from smp_bringup.bag.aligned import camera_topics, observation_topics
from smp_bringup.bag.reader import open_bag
from smp_bringup.robot import Robot
from smp_bringup.sim.lockstep import START_NS
from smp_bringup.sim.scene import PHYSICS_PERIOD_S
from smp_bringup.sim.world import World
from smp_bringup.stats import percentiles
from smp_bringup.sync.base import AbstractAligner
from smp_bringup.sync.checks import JointOrder
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.experts import ScriptedOperator
from smp_bringup.types import AlignedSet, FloatArray, Frame, nanoseconds

_PIXEL = np.zeros((1, 1, 3), np.uint8)
_HOUR_NS = nanoseconds(3600)


@dataclass(frozen=True)
class Event:
    """One message as it arrives."""

    arrival_ns: int
    stream: str
    stamp_ns: int
    value: Any
    """Joint positions (n,) of an arm, or an image (H, W, 3)."""


@dataclass(frozen=True)
class Streams:
    """Messages in order of arrival, and what was true when they were made."""

    events: tuple[Event, ...]
    possible: int
    """Frames of the reference camera with joint samples on both sides."""
    truth: Callable[[int], FloatArray] | None = None
    """Joint positions (J,) at a stamp, where they are known."""


def simulated(robot: Robot, task: str, seed: int, latency_s: float, jitter_s: float) -> Streams:
    """Return what the sensors of a simulated demonstration say; the truth is the physics at every 2 ms.

    Args:
        robot: with cameras that expose at their rate.
        task: that the scripted operator does.
        seed: of the layout and of the jitter.
        latency_s: a frame arrives so long after its stamp, which is that of its exposure.
        jitter_s: exposures lie so far around their nominal times, uniformly.
    """
    world, rng = World(TASKS[task](), robot), np.random.default_rng(seed)
    world.reset(seed)
    operator = ScriptedOperator(world.task, world.model, world.data, robot, seed)
    rows = []
    per_cycle = round(robot.control_period_s / PHYSICS_PERIOD_S)
    for k in range(int(operator.duration_s / PHYSICS_PERIOD_S)):
        if k % per_cycle == 0:
            world.set_setpoint(operator.target(world.time_s))
        world.step(PHYSICS_PERIOD_S)
        rows.append(world.joint_state()[0])
    track, step_ns = np.array(rows), nanoseconds(PHYSICS_PERIOD_S)
    events = []
    for arm in robot.arms:
        part = robot.arm_slices[arm.name]
        for k in range(0, len(track), round(1 / (robot.state_rate_hz * PHYSICS_PERIOD_S))):
            at = START_NS + k * step_ns
            events.append(Event(at, arm.name, at, track[k, part]))
    span = int(jitter_s / PHYSICS_PERIOD_S)
    for camera in robot.cameras:
        period = round(1 / (camera.rate_hz * PHYSICS_PERIOD_S))
        for k in range(period, len(track) - period, period):
            at = START_NS + (k + int(rng.integers(-span, span + 1))) * step_ns
            events.append(Event(at + nanoseconds(latency_s), camera.name, at, _PIXEL))
    events.sort(key=lambda event: event.arrival_ns)
    possible = sum(event.stream == robot.cameras[0].name for event in events)
    return Streams(tuple(events), possible, lambda stamp: track[(stamp - START_NS) // step_ns])


def recorded(robot: Robot, folder: Path) -> Streams:
    """Return what a bag holds, in the order of its log; raises BagError."""
    bag = open_bag(folder)
    topics, cameras = observation_topics(bag, robot), camera_topics(bag, robot)
    bag.require(topics)
    arms = {joints.topic: joints.arms for joints in robot.state_topics}
    orders = {arm.name: JointOrder(*arm.driver) for arm in robot.arms}
    events = []
    for topic, log_ns, message in bag.messages(set(topics)):
        stamp = wire.stamp_ns(message.header.stamp)
        if topic in cameras:
            events.append(Event(log_ns, cameras[topic].name, stamp, wire.frame(message).image))
        for arm in arms.get(topic, ()):
            position, _ = orders[arm.name].map(message.name, message.position, [])
            events.append(Event(log_ns, arm.name, stamp, position))
    possible = sum(event.stream == robot.cameras[0].name for event in events)
    return Streams(tuple(events), possible)


def _future(events: Sequence[Event], cameras: set[str]) -> list[Event]:
    """Ten frames of every camera stamped an hour ahead, after a fifth of the stream."""
    at = len(events) // 5
    bad = []
    for camera in sorted(cameras):
        model = next(event for event in events if event.stream == camera)
        bad += [
            replace(model, arrival_ns=events[at].arrival_ns, stamp_ns=model.stamp_ns + _HOUR_NS + i) for i in range(10)
        ]
    return [*events[:at], *bad, *events[at:]]


def _repeated(events: Sequence[Event], cameras: set[str]) -> list[Event]:
    """Every message twice."""
    return [copy for event in events for copy in (event, event)]


def _shuffled(events: Sequence[Event], cameras: set[str]) -> list[Event]:
    """Messages arrive in another order within 20 ms."""
    rng = np.random.default_rng(0)
    moved = [replace(e, arrival_ns=e.arrival_ns + int(rng.integers(0, nanoseconds(0.02)))) for e in events]
    return sorted(moved, key=lambda event: event.arrival_ns)


def _zero(events: Sequence[Event], cameras: set[str]) -> list[Event]:
    """Every tenth frame carries no stamp."""
    frames = [i for i, event in enumerate(events) if event.stream in cameras][::10]
    out = list(events)
    for i in frames:
        out[i] = replace(out[i], stamp_ns=0)
    return out


POISONS: dict[str, Callable[[Sequence[Event], set[str]], list[Event]]] = {
    "sound": lambda events, cameras: list(events),
    "ten_future_stamps": _future,
    "every_message_twice": _repeated,
    "shuffled_within_20_ms": _shuffled,
    "every_tenth_stamp_zero": _zero,
}
"""What is done to the streams, by name."""


def measure(make: Callable[[], AbstractAligner], robot: Robot, streams: Streams, poison: str) -> dict[str, object]:
    """Return what one aligner makes of the streams after one poison."""
    events = POISONS[poison](streams.events, {c.name for c in robot.cameras})
    aligner = make()
    sets: list[AlignedSet] = []
    start = perf_counter()
    for event in events:
        push(aligner, robot, event)
        sets += aligner.pop()
    spent_s = perf_counter() - start
    # A source without stamps cannot be paired by stamps: those frames were never possible.
    lost = sum(e.stream == robot.cameras[0].name and e.stamp_ns == 0 for e in events)
    skews = [abs(skew) / 1e6 for s in sets for name, skew in s.skew_ns.items() if name != robot.cameras[0].name]
    out: dict[str, object] = {
        "pairs_fraction": round(len({s.stamp_ns for s in sets}) / (streams.possible - lost), 4),
        "skew_ms": percentiles(skews),
        "us_per_message": round(spent_s / len(events) * 1e6, 1),
    }
    if streams.truth is not None:
        errors = [
            np.abs(s.position - streams.truth(s.stamp_ns))[robot.turning].max() for s in sets if s.stamp_ns >= START_NS
        ]
        out["joint_error_mrad"] = {k: round(v, 3) for k, v in percentiles([1e3 * e for e in errors]).items()}
    return out


def push(aligner: AbstractAligner, robot: Robot, event: Event) -> str | None:
    """Hand one message to an aligner."""
    arm = next((a for a in robot.arms if a.name == event.stream), None)
    if arm is None:
        return aligner.push_image(event.stream, Frame(event.stamp_ns, event.value), event.arrival_ns)
    said = arm.driver.positions(event.value)
    return aligner.push_joints(arm.name, event.stamp_ns, arm.driver.names, said, [], event.arrival_ns)


def naive_errors(robot: Robot, streams: Streams) -> dict[str, dict[str, float]]:
    """Return the largest joint error per frame [mrad] without interpolation.

    "latest_on_arrival" takes the newest joint samples when the frame arrives, which is what a
    loop without stamps does; "latest_at_stamp" the newest samples that are not after its stamp.
    """
    if streams.truth is None:
        raise ValueError("the truth is not known")
    arms = robot.turning
    newest: dict[str, Any] = {}
    by_stamp: dict[str, list[Event]] = {arm.name: [] for arm in robot.arms}
    arrival, at_stamp = [], []
    for event in streams.events:
        if event.stream in by_stamp:
            newest[event.stream] = event.value
            by_stamp[event.stream].append(event)
        elif event.stream == robot.cameras[0].name:
            true = streams.truth(event.stamp_ns)
            held = [next(e.value for e in reversed(s) if e.stamp_ns <= event.stamp_ns) for s in by_stamp.values()]
            arrival.append(1e3 * np.abs(np.concatenate(list(newest.values())) - true)[arms].max())
            at_stamp.append(1e3 * np.abs(np.concatenate(held) - true)[arms].max())
    return {"latest_on_arrival": percentiles(arrival), "latest_at_stamp": percentiles(at_stamp)}
