"""What images say, against a camera of a robot file."""

from collections import Counter
from collections.abc import Sequence

from smp_bringup.camera import Camera
from smp_bringup.commission.finding import Finding, error, warning
from smp_bringup.commission.seen import HeardImage, Message
from smp_bringup.sync.depth import DEPTH_ENCODINGS
from smp_bringup.sync.pixels import ENCODINGS
from smp_bringup.sync.watch import FROZEN_FRAMES


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
