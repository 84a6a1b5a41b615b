"""One stream of messages: is it there, who speaks, how often, and what do its stamps say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smp_bringup.absent import absent
from smp_bringup.commission.finding import Finding, error, warning
from smp_bringup.commission.seen import GraphSeen, Message
from smp_bringup.environment import remedy
from smp_bringup.safety.node_graph import Topic
from smp_bringup.sync.checks import FUTURE_S
from smp_bringup.types import NS_PER_S, FloatArray

_OLD_S = 0.5
"""Stamps that are older on arrival than this are of another clock, or of another time than that of measuring."""
_RATE = 0.2
"""Rates may differ by so much of what the robot file says."""
_FEW = 0.5
"""Where less than this share of what a driver sends is heard, it is lost on the way."""
_LEAST = 3
"""Messages from which a rate can be told."""


@dataclass(frozen=True)
class Stream:
    """A topic that a driver publishes, as the robot file has it."""

    about: str
    """Whose it is, e.g. "camera overview"."""
    topic: str
    kind: str
    key: str
    """Where the robot file names the topic, e.g. "topic" of a camera."""
    rate_hz: float = 0.0
    """That the robot file promises; 0 where it promises none."""
    rate_key: str = ""
    stall_s: float = 0.0
    """A message that is later than its period by more holds the arms; 0 where it does not."""


def check_stream(stream: Stream, seen: GraphSeen, taken: Sequence[str]) -> list[Finding]:
    """Return what is wrong with a stream, whatever its messages hold.

    Args:
        stream: to judge.
        seen: the graph.
        taken: all topics of the robot file, none of which is meant by another.
    """
    topic, heard = seen.topics[stream.topic], seen.heard.get(stream.topic)
    if not topic.publishers:
        todo = f"start its driver, or write its topic as {stream.key} in the robot file"
        return [error(stream.about, absent(stream.topic, stream.kind, seen.published, taken), todo)]
    found = [*_types(stream, topic), *_several(stream, topic), *_deaf(stream, topic)]
    if heard is None or not any(end.kind == stream.kind for end in topic.publishers):
        return found
    if not heard:
        nodes = ", ".join(sorted(end.node for end in topic.publishers))
        said = f"{nodes} publishes {stream.topic}, and nothing came in {seen.seconds:g} s"
        todo = "let the driver run; " + remedy(stream.topic not in seen.best_effort, seen.sockets)
        return [*found, (error if stream.rate_hz else warning)(stream.about, said, todo)]
    if len(topic.publishers) > 1:  # their messages are mixed: neither stamps nor rates say anything
        return found
    return found + check_stamps(stream, heard) + _rate(stream, seen, heard)


def _types(stream: Stream, topic: Topic) -> list[Finding]:
    """Return who publishes a topic as something else."""
    others = sorted({end.kind for end in topic.publishers} - {stream.kind})
    if not others:
        return []
    images = stream.kind.startswith("sensor_msgs/msg/") and stream.kind.endswith("Image")
    hint = "; compressed images are those of topics that end in /compressed" if images else ""
    said = f"{stream.topic} is published as {', '.join(others)}, the robot file makes it {stream.kind}{hint}"
    return [error(stream.about, said, f"write another topic as {stream.key}, or let its driver speak {stream.kind}")]


def _several(stream: Stream, topic: Topic) -> list[Finding]:
    if len(topic.publishers) < 2:
        return []
    nodes = ", ".join(sorted(end.node for end in topic.publishers))
    said = f"{stream.topic} has {len(topic.publishers)} publishers ({nodes}), and only one is heard"
    return [error(stream.about, said, "stop all but one, or give each a topic of its own")]


def _deaf(stream: Stream, topic: Topic) -> list[Finding]:
    """Return who publishes with a quality of service that we cannot hear."""
    return [
        error(stream.about, f"{end.node} publishes {stream.topic}, but {end.mismatch}", "change the QoS of its driver")
        for end in topic.publishers
        if end.mismatch
    ]


def check_stamps(stream: Stream, heard: Sequence[Message]) -> list[Finding]:
    """Return what is wrong with the stamps of messages in the order they came."""
    stamps, clock = (np.array([getattr(m, key) for m in heard]) for key in ("stamp_ns", "clock_ns"))
    topic, steps = stream.topic, np.diff(stamps)
    if (stamps <= 0).any():
        count = f"{int((stamps <= 0).sum())} of {len(stamps)}"
        return [error(stream.about, f"{topic}: {count} stamps are zero", "let its driver stamp what it measures")]
    found = []
    if len(stamps) > 1 and (stamps == stamps[0]).all():
        said = f"{topic}: all {len(stamps)} messages have one stamp"
        return [error(stream.about, said, "its driver repeats an old message: restart it")]
    if (steps < 0).any():
        said = f"{topic}: stamps go back {int((steps < 0).sum())} times in {len(stamps)}, by up to {_seconds(-steps)}"
        found.append(error(stream.about, said, "let one driver speak, with one clock that is not set back"))
    if (steps == 0).any():
        said = f"{topic}: {int((steps == 0).sum())} of {len(stamps)} stamps repeat the one before"
        found.append(warning(stream.about, said, "let its driver stamp each message when it measures"))
    age_s = float(np.median(clock - stamps)) / NS_PER_S
    if age_s < -FUTURE_S or age_s > _OLD_S:
        way = "behind" if age_s > 0 else "ahead of"
        said = f"{topic}: stamps are {abs(age_s):.2f} s {way} this machine's clock"
        todo = (
            "synchronise the clocks (docs/two_machines.md), let the driver stamp when it measures, or use "
            "use_sim_time where stamps are of /clock"
        )
        found.append(error(stream.about, said, todo))
    return found


def _seconds(steps: FloatArray) -> str:
    return f"{float(np.max(steps)) / NS_PER_S:.3g} s"


def rate_hz(heard: Sequence[Message]) -> float:
    """Return how often a driver sends, by its stamps, which no load here changes; 0 where that cannot be told."""
    stamps = np.array([m.stamp_ns for m in heard])
    steps = np.diff(stamps)
    if len(heard) < _LEAST or not (stamps > 0).all() or not np.median(steps) > 0:
        steps = np.diff(np.array([m.arrival_ns for m in heard]))
    return float(NS_PER_S / np.median(steps)) if len(heard) >= _LEAST and np.median(steps) > 0 else 0.0


def _rate(stream: Stream, seen: GraphSeen, heard: Sequence[Message]) -> list[Finding]:
    """Return what is wrong with how often messages come."""
    if not stream.rate_hz:
        return []
    rate = rate_hz(heard)
    if not rate:
        said = f"{stream.topic}: {len(heard)} messages in {seen.seconds:g} s, expected {stream.rate_hz:g} Hz"
        return [error(stream.about, said, f"let its driver send more often, or write {stream.rate_key} as it is")]
    found, key = [], stream.rate_key
    said = f"{stream.topic}: {rate:.3g} Hz, the robot file says {stream.rate_hz:g} Hz"
    if stream.stall_s and 1 / rate > 1 / stream.rate_hz + stream.stall_s:
        todo = f"let its driver send more often, or write {key}: {rate:.3g}: as it is the arms are held"
        found.append(error(stream.about, said, todo))
    elif rate < (1 - _RATE) * stream.rate_hz:
        found.append(error(stream.about, said, f"write {key}: {rate:.3g}, or let its driver send more often"))
    elif rate > (1 + _RATE) * stream.rate_hz:
        found.append(warning(stream.about, said, f"write {key}: {rate:.3g}, or let its driver send less often"))
    span_s = (heard[-1].arrival_ns - heard[0].arrival_ns) / NS_PER_S
    if stream.kind.endswith("Image") and len(heard) - 1 < _FEW * rate * span_s:
        said = f"{stream.topic}: {len(heard)} of about {rate * span_s:.0f} messages heard"
        found.append(warning(stream.about, said, remedy(stream.topic not in seen.best_effort, seen.sockets)))
    return found
