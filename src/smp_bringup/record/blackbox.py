"""The black box: what was heard lately, written as a bag when something stopped the arms.

Whoever hears messages calls `take`, and `look` some times a second; a bag is written by a thread of its own, so that
hearing goes on. Nothing of the command node waits for any of this.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Thread

from smp_bringup.bag.commanders import COMMAND_STATE, DIAGNOSTICS
from smp_bringup.bag.disk import MIB, free_bytes
from smp_bringup.bag.files import PARTIAL
from smp_bringup.bag.images import Encoder
from smp_bringup.bag.messages import deserialized
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.settings import StorageConfig
from smp_bringup.bag.writer import BagWriter
from smp_bringup.camera import Camera
from smp_bringup.config import spec
from smp_bringup.errors import SmpError, one_line
from smp_bringup.record.ring import Bursts, Heard, Ring
from smp_bringup.record.stops import Stop, StopWatch, make_room, stop_folders
from smp_bringup.record.story_page import write_story
from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import nanoseconds

_WAITED_S = 12.0
"""A stop waits so long at most for what follows it."""
_QUALITY = 85
_NEEDED = 512 * MIB
"""Less room than that on the disk, and nothing is written: recordings come first."""
_STORAGE = StorageConfig(reserve_mib=0)


@dataclass(frozen=True)
class BlackBoxConfig:
    """How much is kept."""

    seconds: float = field(default=30.0, metadata=spec(ge=1, le=300, unit="s"))
    """Before a stop."""
    kept: int = field(default=20, metadata=spec(ge=1, le=10_000))
    """Stops on the disk."""
    memory_mib: float = field(default=192.0, metadata=spec(ge=1, le=8192, unit="MiB"))


class BlackBox:
    """Keeps, waits, writes; `look` and `take` are of one thread."""

    def __init__(
        self, robot: Robot, safety: SafetyConfig, out: Path, task: str, model: str, config: BlackBoxConfig
    ) -> None:
        self.robot, self._safety, self._task, self._model = robot, safety, task, model
        self._out, self._config = out.absolute(), config
        self._ring = Ring(config.seconds + _WAITED_S, round(config.memory_mib * MIB))
        self._bursts, self._watch = Bursts(robot), StopWatch()
        self._encoder = Encoder(replace(robot, cameras=tuple(map(_packed, robot.cameras))))
        self._writing: Thread | None = None
        self._trouble = ""
        last = stop_folders(self._out)[-1:]
        self._last = str(last[0]) if last else ""
        self._written = 0

    def take(self, topic: str, msgtype: str, log_ns: int, cdr: bytes, steady_ns: int) -> None:
        """Keep a message; what the command node says of itself is also listened to."""
        if not self._bursts.keeps(topic, log_ns):
            return
        self._ring.take(Heard(*self._encoded(topic, msgtype, log_ns, cdr)))
        if topic == COMMAND_STATE and msgtype == DIAGNOSTICS:
            with suppress(Refusal):
                said = {pair.key: pair.value for s in deserialized(cdr, msgtype).status[:1] for pair in s.values}
                self._watch.hear(said, log_ns, steady_ns)

    def look(self, log_ns: int, steady_ns: int, wall_s: float, ending: bool = False) -> None:
        """Write what is due; times are of the bag's clock, a steady one, and the one on the wall (since 1970)."""
        if self._writing is not None and (ending or not self._writing.is_alive()):
            self._writing.join()
            self._writing = None
        if self._writing is None and (stop := self._watch.due(log_ns, steady_ns, ending)) is not None:
            heard = self._ring.since(stop.at_ns - nanoseconds(self._config.seconds))
            self._writing = Thread(target=self._write, args=(stop, heard, wall_s), name="disk")
            self._writing.start()
            if ending:
                self._writing.join()

    def report(self) -> dict[str, object]:
        """Return what is kept, where the last stop lies, and what went wrong."""
        return {
            "out": str(self._out),
            "last": self._last,
            "written": self._written,
            "waits": self._watch.pending,
            "seconds": self._config.seconds,
            "kept": self._config.kept,
            "memory_mib": round(self._ring.bytes / MIB, 1),
            "frames": f"{self._bursts.share:.0%}",
            "warning": self._trouble,
        }

    def _encoded(self, topic: str, msgtype: str, log_ns: int, cdr: bytes) -> tuple[str, str, int, bytes]:
        topic, msgtype, cdr = self._encoder.encode(topic, msgtype, cdr)
        return topic, msgtype, log_ns, cdr

    def _write(self, stop: Stop, heard: list[Heard], wall_s: float) -> None:
        """Write a stop; whatever keeps it from being written is said, and the next one is tried again."""
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            if (free := free_bytes(self._out)) < _NEEDED:
                raise SmpError(f"{free // MIB} MiB free in '{self._out}', {_NEEDED // MIB} MiB are needed")
            make_room(self._out, self._config.kept - 1)
            folder = self._bag(stop, heard, wall_s)
            self._last, self._written, self._trouble = str(folder), self._written + 1, ""
            write_story(open_bag(folder), folder)
        except Exception as error:  # of the disk, or ours: the black box goes on
            reason = getattr(error, "strerror", None) or error
            self._trouble = f"a stop could not be written: {one_line(reason)}"

    def _bag(self, stop: Stop, heard: list[Heard], wall_s: float) -> Path:
        at = datetime.fromtimestamp(wall_s).astimezone()
        writer = BagWriter(
            _free_folder(self._out, f"{at:%Y%m%d_%H%M%S}", stop.kind), self.robot, self._task, self._safety, _STORAGE
        )
        try:
            for topic, msgtype, log_ns, cdr in heard:
                writer.write(topic, msgtype, log_ns, cdr)
            notes = {"stopped_at": at.isoformat(timespec="seconds"), "model": self._model}
            return writer.close(None, stop.notes() | notes)
        except Exception:
            writer.discard()
            raise


def _packed(camera: Camera) -> Camera:
    """Return a camera whose images in colour are kept as JPEG."""
    if camera.compressed or camera.depth:
        return camera
    return replace(camera, recording="jpeg", jpeg_quality=_QUALITY)


def _free_folder(out: Path, time: str, kind: str) -> Path:
    """Return a folder that does not exist: two robots may stop in the same second."""
    number, folder = 1, out / f"{time}_{kind}"
    while folder.exists() or folder.with_name(folder.name + PARTIAL).exists():
        number += 1
        folder = out / f"{time}_{number}_{kind}"
    return folder
