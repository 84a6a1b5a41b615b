"""What images say, against a camera of a robot file."""

from collections import Counter
from collections.abc import Mapping, Sequence

from smp_bringup.camera import Camera
from smp_bringup.commission.finding import Finding, error, warning
from smp_bringup.commission.seen import HeardImage, Message
from smp_bringup.record.motion import nearest_distance_s
from smp_bringup.sync.base import SLOP_S
from smp_bringup.sync.depth import DEPTH_ENCODINGS
from smp_bringup.sync.pixels import ENCODINGS
from smp_bringup.sync.watch import FROZEN_FRAMES
from smp_bringup.types import nanoseconds

_LEAST = 3
"""Frames from which can be told when they come."""


def check_images(camera: Camera, heard: Sequence[Message], moved: bool) -> list[Finding]:
    """Return what is wrong with a camera's images.

    Args:
        camera: whose they are.
        heard: its messages in the order they came.
        moved: whether joints moved while they came.
    """
    about, topic = f"camera {camera.name}", camera.topic
    frames = [message for message in heard if isinstance(message, HeardImage)]
    if not frames:
        return []
    found = []
    odd = Counter((f.width, f.height) for f in frames if (f.width, f.height) != (camera.width, camera.height))
    allowed = DEPTH_ENCODINGS if camera.depth else ENCODINGS
    known = [frame.encoding for frame in frames if camera.compressed or frame.encoding in allowed]
    if len(known) < len(frames):
        others = ", ".join(sorted({frame.encoding for frame in frames} - set(allowed))[:3]) or "none"
        other_kind = "leave out depth: of a camera in colour" if camera.depth else "a depth camera says depth:"
        todo = f"let its driver send one of {', '.join(allowed)}; {other_kind}"
        found.append(error(about, f"{topic}: encoding {others}, which is refused", todo))
    elif refusals := Counter(frame.refusal for frame in frames if frame.refusal):
        text, count = refusals.most_common(1)[0]
        said = f"{topic}: {count} of {len(frames)} images are refused ({text})"
        found.append(error(about, said, "let its driver send whole images"))
    elif odd:
        (width, height), count = odd.most_common(1)[0]
        said = f"{topic}: {width}x{height}, the robot file says {camera.width}x{camera.height}"
        todo = f"write width: {width}, height: {height}, or let its driver send {camera.width}x{camera.height}"
        found.append(error(about, f"{said}{_share(count, len(frames))}", todo))
    return found + _frozen(about, topic, frames, moved)


def check_skew(cameras: Sequence[Camera], heard: Mapping[str, Sequence[Message]]) -> list[Finding]:
    """Return which cameras have no frames near those of the first one, with which they are to make sets.

    Args:
        cameras: of the robot file.
        heard: messages by topic, in the order they came.
    """
    stamps = [
        [m.stamp_ns - nanoseconds(camera.latency_s) for m in heard.get(camera.topic, ()) if isinstance(m, HeardImage)]
        for camera in cameras
    ]
    first, found = cameras[0], []
    for camera, own in zip(cameras[1:], stamps[1:], strict=True):
        if len(own) < _LEAST or len(stamps[0]) < _LEAST:
            continue
        apart_s = nearest_distance_s(stamps[0], own, 50)
        if SLOP_S < apart_s < 1 / min(camera.rate_hz, first.rate_hz):  # farther ones are of another clock
            said = f"{camera.topic}: its frames are {apart_s * 1e3:.0f} ms from those of {first.name}, the first camera"
            todo = f"a set takes {SLOP_S * 1e3:.0f} ms: let both send at 30 Hz or more, or start them by one trigger"
            found.append(error(f"camera {camera.name}", said, todo))
    return found


def _share(count: int, whole: int) -> str:
    return "" if count == whole else f" (of {count} of {whole})"


def _frozen(about: str, topic: str, frames: Sequence[HeardImage], moved: bool) -> list[Finding]:
    if len(frames) <= FROZEN_FRAMES or len({frame.pixels for frame in frames}) > 1:
        return []
    said = f"{topic}: all {len(frames)} images are equal to the bit"
    if moved:
        return [error(about, f"{said}, while joints moved: it is frozen", "restart its driver")]
    todo = "a real camera is never so still: move something in view; if nothing changes, restart its driver"
    return [warning(about, said, todo)]
