"""Is an episode worth keeping? One look at each thing that spoils demonstrations, with numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.bag.messages import IMAGE
from smp_bringup.errors import one_line
from smp_bringup.record import motion
from smp_bringup.record.config import Bounds, QualityConfig
from smp_bringup.record.tracks import Track, Tracks
from smp_bringup.robot import Robot

_AHEAD_S = 0.005
"""No clock is so far ahead that a message arrives before it is sent."""
_AT_THE_ENDS = 3
"""So many frames at the ends of an episode may have nothing beside them."""
_JUMP_PERIOD_S = 0.01
_FASTER = (1.5, 2.5)
"""A joint jumps that goes so many times faster than its limit, and not before: fast ones may step far in a period."""
_SCATTERS = 2.0
"""A clock that drifts moves its arrivals by more than so many times their scatter; by four times, where it is alone."""
_TAKEN_OVER_S = 1.0
"""So long after a take-over from a policy the limits may still bring the arms to their leaders."""
_CAUSES = 5
"""So many causes of refusal are named for a topic."""
_MIN_OTHERS = 4
"""So many other episodes must be known before a length is compared with them."""


class Level(IntEnum):
    """What becomes of an episode."""

    KEEP = 0
    WARN = 1
    REJECT = 2


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with an episode."""

    level: Level
    check: str
    text: str


@dataclass(frozen=True)
class Quality:
    """The verdict on an episode: the strictest of its findings."""

    findings: tuple[Finding, ...]
    duration_s: float
    counts: Mapping[str, int]

    @property
    def level(self) -> Level:
        """The strictest finding's."""
        return max((f.level for f in self.findings), default=Level.KEEP)

    @property
    def word(self) -> str:
        """ "keep", "warn" or "reject"."""
        return self.level.name.lower()

    def notes(self) -> dict[str, str]:
        """Return what goes into the metadata of the bag."""
        return {
            "quality": self.word,
            "reasons": "; ".join(f"{f.level.name.lower()} {f.check}: {f.text}" for f in self.findings),
            "duration_s": f"{self.duration_s:.3f}",
        }


def judge(
    tracks: Tracks,
    bounds: QualityConfig,
    others_s: Sequence[float] = (),
    dropped: Mapping[str, int] | None = None,
    lacking: Sequence[str] = (),
) -> Quality:
    """Return the verdict on an episode.

    Args:
        tracks: of the episode.
        bounds: (warn, reject) of every check.
        others_s: lengths of the task's other episodes [s].
        dropped: messages per topic that arrived and were not written.
        lacking: what is known to be missing in the bag, a sentence each.
    """
    try:
        found = sorted(_findings(tracks, bounds, others_s, dropped or {}), key=lambda f: -f.level)
        found += [Finding(Level.WARN, "incomplete", one_line(text)) for text in lacking]
    except Exception as error:  # foreign bytes: messages so odd that the checks trip over them
        found = [
            Finding(
                Level.REJECT,
                "verdict",
                f"the episode cannot be judged, its messages do not fit the robot: {one_line(error)}",
            )
        ]
    return Quality(tuple(found), tracks.duration_s, dict(tracks.counts))


def _findings(
    tracks: Tracks, bounds: QualityConfig, others_s: Sequence[float], dropped: Mapping[str, int]
) -> Iterator[Finding]:
    unled = () if tracks.led else (*tracks.leaders.values(),)  # in a policy's rollout nobody need lead
    for track in tracks.all():
        if any(track is one for one in unled):
            continue
        if track.stamp_ns:
            for check in _TOPIC_CHECKS:
                yield from check(track, tracks, bounds)
        elif track.expected or track.refused:
            yield Finding(Level.REJECT, "missing", f"{track.topic}: {_nothing(track)}")
    for look in _EPISODE_CHECKS:
        yield from look(tracks, bounds)
    yield from _length(tracks.duration_s, others_s, bounds)
    for topic, count in sorted(dropped.items()):
        share = count / (count + tracks.counts[topic])
        yield from _above("dropped", f"{one_line(topic)}: {count} messages dropped", share, bounds.dropped_share)


def _nothing(track: Track) -> str:
    causes = ", ".join(f"{n} refused ({one_line(cause)})" for cause, n in track.refused.most_common(_CAUSES))
    return causes or "no message"


def _above(check: str, text: str, value: float, bounds: Bounds) -> Iterator[Finding]:
    """Yield a finding where `value` is not below the bounds; NaN is not."""
    if not value <= bounds[1]:
        yield Finding(Level.REJECT, check, text)
    elif not value <= bounds[0]:
        yield Finding(Level.WARN, check, text)


def _refused(track: Track, tracks: Tracks, bounds: QualityConfig) -> Iterator[Finding]:
    share = _share(sum(track.refused.values()), track)
    for cause, count in track.refused.most_common(_CAUSES):
        text = f"{track.topic}: {count} messages refused ({one_line(cause)})"
        yield from _above("refused", text, share, bounds.refused_share)


def _share(count: int, track: Track) -> float:
    return count / (len(track.stamp_ns) + sum(track.refused.values()))


def _rate(track: Track, tracks: Tracks, bounds: QualityConfig) -> Iterator[Finding]:
    if not track.rate_hz or tracks.duration_s <= 0:
        return
    count = len(track.stamp_ns) + sum(track.refused.values())
    rate = max(0, count - 1) / tracks.duration_s
    slack = 1 / (track.rate_hz * tracks.duration_s)  # the ends of an episode cut into a period
    text = f"{track.topic}: {rate:.1f} Hz, nominal {track.rate_hz:g} Hz"
    warn, reject = bounds.rate_share
    yield from _above("rate", text, -(rate / track.rate_hz + slack), (-warn, -reject))
    yield from _above("rate", text, rate / track.rate_hz - slack, bounds.rate_excess)


def _gap(track: Track, tracks: Tracks, bounds: QualityConfig) -> Iterator[Finding]:
    assert tracks.span_ns is not None
    edges = [tracks.span_ns[0], *track.log_ns, tracks.span_ns[1]]
    stamps = np.diff(np.array(track.stamp_ns, dtype=np.int64))
    inner = float(stamps.max()) / 1e9 if len(stamps) else 0.0
    outer = max(edges[1] - edges[0], edges[-1] - edges[-2]) / 1e9
    longest = max(inner, outer)
    least = max(track.gap_s, 2.2 / track.rate_hz if track.rate_hz else 0.0)
    limit = (max(bounds.gap_s[0], least), max(bounds.gap_s[1], least))
    at = (int(stamps.argmax()) if inner >= outer else 0) if len(stamps) else 0
    where = f" at {(track.log_ns[at] - tracks.span_ns[0]) / 1e9:.2f} s" if inner >= outer else " at an end"
    yield from _above("gap", f"{track.topic}: silent for {longest * 1e3:.0f} ms{where}", longest, limit)
    backwards = int((stamps <= 0).sum())
    text = f"{track.topic}: {backwards} stamps not after the one before"
    yield from _above("stamps", text, _share(backwards, track), bounds.refused_share)


def _clock(track: Track, tracks: Tracks, bounds: QualityConfig) -> Iterator[Finding]:
    """Arrival minus stamp: its size, its sign, its change over the episode."""
    lateness = track.lateness()
    middle = float(np.median(lateness))
    text = f"{track.topic}: arrives {middle * 1e3:.0f} ms after its stamp"
    yield from _above("clock", text, middle, bounds.latency_s)
    if middle < -_AHEAD_S:
        yield Finding(Level.REJECT, "clock", f"{track.topic}: stamped {-middle * 1e3:.0f} ms in the future")
    elapsed = (track.log_ns[-1] - track.log_ns[0]) / 1e9
    if elapsed > 2.0:
        halves = np.array_split(lateness, 2)
        first, second = (float(np.median(half)) for half in halves)
        scatter = max(float(np.median(np.abs(half - np.median(half)))) for half in halves)
        if abs(second - first) > _SCATTERS * scatter:  # what the transport takes differs from message to message
            drift = (second - first) / (elapsed / 2)
            text = f"{track.topic}: its clock drifts {drift * 1e3:+.1f} ms/s"
            yield from _above("clock", text, abs(drift), bounds.drift)


def _jump(track: Track, tracks: Tracks, bounds: QualityConfig) -> Iterator[Finding]:
    if track.kind == IMAGE or track.name in tracks.vectors or len(track.values) < 2:
        return
    step = np.abs(np.diff(np.array(track.values), axis=0)).max(axis=0)
    times = max(1.0, track.period_s() / _JUMP_PERIOD_S)
    for joint, size in zip(tracks.robot.arm(track.name).joints, step, strict=True):
        if joint.rate:
            continue  # an operator's stick goes over at once
        unit, (warn, reject) = ("rad", bounds.jump_rad) if joint.turns else ("m", bounds.jump_m)
        fast = joint.velocity * _JUMP_PERIOD_S
        limit = (max(warn, _FASTER[0] * fast) * times, max(reject, _FASTER[1] * fast) * times)
        yield from _above("jump", f"{track.topic}: {joint.name} jumps by {size:.3f} {unit}", float(size), limit)


def _frames(track: Track, tracks: Tracks, bounds: QualityConfig) -> Iterator[Finding]:
    if track.kind != IMAGE or track.name in tracks.vectors:
        return
    equal = motion.repeats_while_moving(track, tracks)
    if not len(equal):
        return
    run = motion.longest_run(equal)
    yield from _above("frozen", f"{track.topic}: {run + 1} equal frames in a row", run + 1, bounds.frozen_frames)
    share = float(equal.mean())
    text = f"{track.topic}: {share:.0%} of the frames equal the one before"
    yield from _above("duplicates", text, share, bounds.duplicate_share)


def _skew(tracks: Tracks, bounds: QualityConfig) -> Iterator[Finding]:
    cameras = [t for t in tracks.cameras.values() if t.stamp_ns]
    middles = {t.name: float(np.median(t.lateness())) for t in cameras}
    for track in cameras:
        others = [m for name, m in middles.items() if name != track.name]
        if others:
            spread = middles[track.name] - float(np.median(others))
            text = f"{track.topic}: {spread * 1e3:+.0f} ms later than the other cameras, by its stamps"
            yield from _above("clock", text, abs(spread), bounds.latency_spread_s)
    reference = tracks.cameras[tracks.robot.cameras[0].name]
    for track in cameras:
        if track is not reference and reference.stamp_ns:
            skew = motion.nearest_distance_s(reference.stamp_ns, track.stamp_ns)
            text = f"{track.topic}: {skew * 1e3:.0f} ms from the frames of {reference.name} (p95)"
            yield from _above("skew", text, skew, bounds.skew_s)


def _aligned(tracks: Tracks, bounds: QualityConfig) -> Iterator[Finding]:
    """What the aligner makes of the episode, which waits for late streams as it does on the robot."""
    reference = tracks.cameras[tracks.robot.cameras[0].name]
    frames = len(reference.stamp_ns)
    streams = tracks.cameras, tracks.states, tracks.vectors
    if not frames or any(not track.stamp_ns for group in streams for track in group.values()):
        return  # what is missing is named
    text = f"replay and training can use {tracks.sets} of {frames} frames of {reference.topic}: the others have no "
    text += f"images{', vectors' if tracks.vectors else ''} and states within the aligner's reach"
    warn, reject = bounds.aligned_share
    yield from _above("aligned", text, -(tracks.sets + _AT_THE_ENDS) / frames, (-warn, -reject))


def _leader(tracks: Tracks, bounds: QualityConfig) -> Iterator[Finding]:
    for arm in _placed(tracks.robot):
        offset = motion.leader_offset(tracks.leaders[arm.name], tracks.operated(tracks.states[arm.name]))
        if offset is None:
            continue
        for joint, size in zip(arm.joints, offset, strict=True):
            limit, shown = bounds.leader_offset_rad, f"{size:+.3f} rad ({np.degrees(size):+.0f} degrees)"
            if not joint.turns:
                limit, shown = bounds.leader_offset_m, f"{size * 1e3:+.1f} mm"
            yield from _above("leader_offset", f"{joint.name} is {shown} from its leader", abs(float(size)), limit)


def _placed(robot: Robot) -> list[Arm]:
    """Return the arms that follow their leaders in place; a base that lags behind its leader is where it is."""
    return [arm for arm in robot.arms if not arm.is_base]


def _idle(tracks: Tracks, bounds: QualityConfig) -> Iterator[Finding]:
    idle = motion.idle_s(tracks)
    if idle is None:
        yield Finding(Level.REJECT, "idle", "nothing moves in the whole episode")
        return
    yield from _above("idle_head", f"nothing moves in the first {idle[0]:.1f} s", idle[0], bounds.idle_head_s)
    yield from _above("idle_tail", f"nothing moves in the last {idle[1]:.1f} s", idle[1], bounds.idle_tail_s)


def _clipped(tracks: Tracks, bounds: QualityConfig) -> Iterator[Finding]:
    for arm in _placed(tracks.robot):
        if (command := tracks.commands.get(arm.name)) is None:
            continue
        share, joint = motion.clipped_share(tracks.leaders[arm.name], tracks.operated(command, _TAKEN_OVER_S), arm)
        yield from _above(
            "clipped", f"{joint}: limits cut its leader off {share:.0%} of the time", share, bounds.clipped_share
        )


def _length(duration_s: float, others_s: Sequence[float], bounds: QualityConfig) -> Iterator[Finding]:
    if len(others_s) < _MIN_OTHERS or duration_s <= 0:
        return
    usual = float(np.median(others_s))
    ratio = max(duration_s / usual, usual / duration_s)
    yield from _above("length", f"{duration_s:.1f} s, the others {usual:.1f} s (median)", ratio, bounds.length_ratio)


_TOPIC_CHECKS: tuple[Callable[[Track, Tracks, QualityConfig], Iterator[Finding]], ...] = (
    _refused,
    _rate,
    _gap,
    _clock,
    _jump,
    _frames,
)
_EPISODE_CHECKS: tuple[Callable[[Tracks, QualityConfig], Iterator[Finding]], ...] = (
    _skew,
    _aligned,
    _leader,
    _idle,
    _clipped,
)
