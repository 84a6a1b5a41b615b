"""What an episode shows, as data that a page draws: pictures, joints, modes, and what stopped it."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from shlex import quote
from typing import Any

import numpy as np

from smp_bringup.bag.aligned import camera_topics
from smp_bringup.bag.commanders import COMMAND_STATE, DIAGNOSTICS
from smp_bringup.bag.images import jpeg, shrunk
from smp_bringup.bag.messages import deserialized
from smp_bringup.bag.reader import Bag
from smp_bringup.camera import Camera
from smp_bringup.errors import one_line
from smp_bringup.record.stops import STOPPED
from smp_bringup.record.tracks import Track, Tracks
from smp_bringup.robot import Robot
from smp_bringup.safety.modes import Mode
from smp_bringup.safety.words import meaning
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import NS_PER_S, FloatArray, nanoseconds
from smp_bringup.wire import frame

_POINTS = 400
"""Instants at which joints are told."""
_OLD_NS = NS_PER_S
"""A joint of which nothing was said for so long is not known."""
_STILLS, _STILLS_HZ = 150, 5.0
"""Pictures of a camera at most, and how many a second."""
_LATE = 0.95
"""A frame that comes a little early counts."""
_LARGEST, _QUALITY = 320, 70
"""Longer sides of pictures are shown with every second, third, ... pixel [px]."""
_EVENTS = 200
_LONGEST = 300
"""Characters of a reason."""
_HEADS = {
    "estop": "Emergency stop",
    "fault": "Fault",
    "hold": "Held by a check",
    "silent": "The command node fell silent",
}
_NOBODY = "none"


@dataclass(frozen=True)
class Story:
    """An episode as a page shows it."""

    told: Mapping[str, Any]
    """As JSON can say it."""
    stills: Mapping[str, tuple[bytes, ...]]
    """JPEG pictures of each camera, as many as its times in `told`."""


def tell(bag: Bag, robot: Robot, command: str = "", stills: int = _STILLS) -> Story:
    """Return what a bag shows.

    Args:
        bag: of the robot.
        robot: whose joints and cameras are shown.
        command: that replays it; of a stop, see `replay_command`.
        stills: pictures of each camera at most.

    Raises:
        BagError: it cannot be read.
    """
    cameras = {topic: camera for topic, camera in camera_topics(bag, robot).items() if topic in bag.types}
    tracks, said = Tracks(robot), list[tuple[int, dict[str, str]]]()
    film = {camera.name: _Film(camera, stills) for camera in robot.cameras}
    for topic, log_ns, cdr in bag.raw_messages(set(bag.types)):
        if topic in cameras:
            film[cameras[topic].name].take(log_ns, bag.types[topic], cdr)
            continue
        tracks.take(topic, bag.types[topic], log_ns, cdr)
        if topic == COMMAND_STATE:
            with suppress(Refusal):
                said.append((log_ns, _said(cdr)))
    ends = [at for one in film.values() for at, _ in (one.row[:1] + one.row[-1:])] + list(tracks.span_ns or ())
    start_ns, last_ns = min(ends, default=0), max(ends, default=0)
    told = {
        "name": one_line(bag.path.name),
        "task": one_line(bag.episode.get("text") or bag.episode.get("task", "")),
        "outcome": one_line(bag.outcome),
        "quality": one_line(bag.episode.get("quality", "")),
        "reasons": _lines(bag.episode.get("reasons", "")),
        "duration_s": (last_ns - start_ns) / NS_PER_S,
        "stop": _stop(bag.episode, start_ns),
        "command": command,
        "arms": arms_of(robot),
        "joints": _joints(tracks, robot, start_ns, last_ns),
        "events": list(_events(said, start_ns)),
        "cameras": [{"name": name, "at_s": [_s(at, start_ns) for at, _ in one.row]} for name, one in film.items()],
    }
    return Story(told, {name: tuple(picture for _, picture in one.row) for name, one in film.items()})


class _Film:
    """Pictures of a camera, evenly spaced over what was seen: where they become too many, every second one goes."""

    def __init__(self, camera: Camera, most: int) -> None:
        self._camera, self._most, self._gap_ns = camera, most, nanoseconds(_LATE / _STILLS_HZ)
        self.row: list[tuple[int, bytes]] = []
        """When they were heard [ns], and JPEG."""

    def take(self, log_ns: int, msgtype: str, cdr: bytes) -> None:
        """Take a frame; one that cannot be read is left out."""
        if self.row and log_ns - self.row[-1][0] < self._gap_ns:
            return
        with suppress(Refusal):
            image = frame(deserialized(cdr, msgtype), self._camera).image
            self.row.append((log_ns, jpeg(shrunk(image, _LARGEST), _QUALITY)))
        if len(self.row) > self._most:
            self.row, self._gap_ns = self.row[::2], 2 * self._gap_ns


def replay_command(bag: Bag) -> str:
    """Return the command that shows what the policy of a stop would do now; without a policy, the one that tells it."""
    model = bag.episode.get("model", "")
    path = quote(str(bag.path))
    if model in ("", _NOBODY):
        return f"smp why {path}"
    return f"smp replay {path} --model {quote(model)} --allow-missing --report out/replay"


def arms_of(robot: Robot) -> list[dict[str, object]]:
    """Return the arms of a robot with their joints, for a page."""
    return [
        {
            "name": arm.name,
            "joints": [{"name": j.name, "min": j.min, "max": j.max, "unit": j.unit} for j in arm.joints],
        }
        for arm in robot.arms
    ]


def _said(cdr: bytes) -> dict[str, str]:
    return {pair.key: pair.value for status in deserialized(cdr, DIAGNOSTICS).status[:1] for pair in status.values}


def _lines(reasons: str) -> list[str]:
    return [one_line(reason)[:_LONGEST] for reason in reasons.split("; ") if reason]


def _s(at_ns: int, start_ns: int) -> float:
    return round((at_ns - start_ns) / NS_PER_S, 3)


def _stop(episode: Mapping[str, str], start_ns: int) -> dict[str, object] | None:
    """Return what stopped the arms, in words; None for an episode that nothing stopped."""
    kind = episode.get(STOPPED, "")
    if not kind:
        return None
    check = episode.get("stopped_check", "")
    at = episode.get("stopped_ns", "")
    means = meaning(check)
    mode = episode.get("stopped_mode", "")
    return {
        "head": _HEADS.get(kind, one_line(kind)),
        "when": one_line(episode.get("stopped_at", "")),
        "at_s": _s(int(at), start_ns) if at.isdecimal() and len(at) < 20 else 0.0,
        "mode": one_line(mode),
        "check": one_line(check),
        "reason": one_line(episode.get("stopped_reason", ""))[:_LONGEST],
        "reasons": _lines(episode.get("stopped_reasons", "")),
        "found": means.found,
        "look": means.look,
        "followed": {Mode.POLICY.value: "the policy", Mode.TELEOP.value: "the leader arms"}.get(mode, "nobody"),
    }


def _joints(tracks: Tracks, robot: Robot, start_ns: int, last_ns: int) -> dict[str, object]:
    """Return measured and commanded joints (K, J) at K instants, None where nothing was said lately."""
    at_ns = np.linspace(start_ns, max(last_ns, start_ns + 1), _POINTS).astype(np.int64)
    return {
        "at_s": [_s(int(at), start_ns) for at in at_ns],
        "measured": _rows(at_ns, [tracks.states.get(arm.name) for arm in robot.arms], robot),
        "commanded": _rows(at_ns, [tracks.commands.get(arm.name) for arm in robot.arms], robot),
    }


def _rows(at_ns: np.ndarray, of_arms: list[Track | None], robot: Robot) -> list[list[float | None]]:
    """Return the newest values before each instant, joint by joint (J, K)."""
    rows: list[list[float | None]] = []
    for arm, track in zip(robot.arms, of_arms, strict=True):
        values: FloatArray = np.full((len(at_ns), len(arm.joints)), np.nan)
        if track is not None and track.log_ns:
            log_ns = np.array(track.log_ns, dtype=np.int64)
            last = np.searchsorted(log_ns, at_ns, side="right") - 1
            known = (last >= 0) & (at_ns - log_ns[np.maximum(last, 0)] < _OLD_NS)
            values[known] = np.array(track.values, dtype=np.float64)[last[known]]
        rows += [[round(v, 4) if np.isfinite(v) else None for v in column.tolist()] for column in values.T]
    return rows


def _events(said: list[tuple[int, dict[str, str]]], start_ns: int) -> Iterator[dict[str, object]]:
    """Yield when mode, check or severity changed, the last so many."""
    changes: list[tuple[int, dict[str, str]]] = []
    before: tuple[str | None, ...] = ()
    for at_ns, values in said:
        key = tuple(values.get(name) for name in ("mode", "severity", "check"))
        if key != before:
            changes.append((at_ns, values))
        before = key
    for at_ns, values in changes[-_EVENTS:]:
        reason = ": ".join(filter(None, (values.get("check"), values.get("reason"))))
        severity = values.get("severity", "")
        yield {
            "at_s": _s(at_ns, start_ns),
            "mode": one_line(values.get("mode", "")),
            "severity": "" if severity == "PASS" else one_line(severity),
            "text": one_line(reason)[:_LONGEST],
        }
