"""How topics travel; each choice with its reason."""

from rclpy.duration import Infinite
from rclpy.qos import DurabilityPolicy, HistoryPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

SENSOR = QoSProfile(reliability=ReliabilityPolicy.BEST_EFFORT, history=HistoryPolicy.KEEP_LAST, depth=10)
"""Subscribing to drivers: best effort matches reliable and best-effort publishers alike; see `matched` for cameras."""

JOINTS = QoSProfile(reliability=ReliabilityPolicy.BEST_EFFORT, history=HistoryPolicy.KEEP_LAST, depth=100)
"""Joint states on their way to the aligner: small, and each is a point to interpolate between."""

DRIVER = QoSProfile(reliability=ReliabilityPolicy.RELIABLE, history=HistoryPolicy.KEEP_LAST, depth=10)
"""What the simulated drivers publish with: matches every subscriber."""

OBSERVATION = QoSProfile(reliability=ReliabilityPolicy.RELIABLE, history=HistoryPolicy.KEEP_LAST, depth=16)
"""Parts of one observation are joined by stamp: losing one loses all."""

LATEST = QoSProfile(reliability=ReliabilityPolicy.RELIABLE, history=HistoryPolicy.KEEP_LAST, depth=1)
"""Chunks and setpoints: only the newest counts, a queue would be executed late."""

RECORD = QoSProfile(reliability=ReliabilityPolicy.BEST_EFFORT, history=HistoryPolicy.KEEP_LAST, depth=200)
"""The recorder may fall behind for a while, but never blocks a publisher."""

STATE = QoSProfile(
    reliability=ReliabilityPolicy.RELIABLE,
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""State that a late joiner must see."""

_BETWEEN_CYCLES = 16

LATCHED = QoSProfile(
    reliability=ReliabilityPolicy.RELIABLE,
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""Hearing what several publishers keep for late joiners, as on /tf_static."""


def drained(profile: QoSProfile) -> QoSProfile:
    """Return a profile for whoever takes all that has come, cycle by cycle: nothing that comes between two is lost."""
    out = with_reliability(profile, profile.reliability)
    out.durability, out.depth = profile.durability, max(profile.depth, _BETWEEN_CYCLES)
    return out


def as_seen(profile: QoSProfile) -> QoSProfile:
    """Return a profile as the middleware tells others of it: what we leave out is without bounds."""
    return QoSProfile(
        reliability=profile.reliability,
        durability=profile.durability,
        history=profile.history,
        depth=profile.depth,
        deadline=Infinite,
        liveliness=LivelinessPolicy.AUTOMATIC,
        liveliness_lease_duration=Infinite,
    )


def with_reliability(profile: QoSProfile, reliability: ReliabilityPolicy) -> QoSProfile:
    """Return a profile of the same history that asks for this reliability."""
    return QoSProfile(reliability=reliability, history=profile.history, depth=profile.depth)
