"""The recorder: episodes begin, end, get a verdict, and are kept or discarded; what lies between is not recorded."""

import shutil
from collections.abc import Callable
from pathlib import Path
from threading import RLock

import numpy as np

from smp_bringup.bag.commanders import COMMAND_STATE, DIAGNOSTICS
from smp_bringup.bag.disk import free_bytes
from smp_bringup.bag.episode import slug
from smp_bringup.bag.files import PARTIAL
from smp_bringup.bag.images import Encoder, jpeg_cdr
from smp_bringup.bag.messages import COMPRESSED, IMAGE, definition, image_cdr, measured_cdr
from smp_bringup.bag.writer import BagWriter
from smp_bringup.errors import BagError, SmpError, one_line
from smp_bringup.record.config import RecordConfig
from smp_bringup.record.history import lengths_s
from smp_bringup.record.quality import Level, Quality, judge
from smp_bringup.record.sink import GIB, Sink, needed_bytes
from smp_bringup.record.tasks import TaskQueue
from smp_bringup.record.tracks import Tracks
from smp_bringup.robot import Robot
from smp_bringup.safety.config import SafetyConfig


class Recorder:
    """Wires the queue of tasks, the sink and the verdict; services and pedals call it, one other thread pumps it."""

    def __init__(
        self,
        robot: Robot,
        safety: SafetyConfig,
        out: Path,
        tasks: str,
        config: RecordConfig,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.robot, self._safety, self._free = robot, safety, free
        self._out, self.config, self.queue = out, config, TaskQueue(tasks)
        _warm_up(robot)
        self._lock = RLock()
        self._sink: Sink | None = None
        self._entry = ""
        self._success: bool | None = None
        self._last: tuple[Path, str, int] | None = None
        self._lengths: dict[str, list[float]] = {}
        self.verdict: Quality | None = None
        """On the last episode."""
        self.said = ""
        """What happened last."""
        self.dropped = 0
        """Messages of all episodes that are not in their bags."""
        self.failed = False
        """Whether an episode could not be written to its end."""

    @property
    def recording(self) -> bool:
        """Whether an episode is open."""
        return self._sink is not None

    def assign(self, tasks: str, out: Path) -> None:
        """Take another queue or folder; the counts of an equal queue go on."""
        if tasks != self.queue.text:
            self.queue = TaskQueue(tasks)
        self._out = out

    def offer(self, topic: str, msgtype: str, log_ns: int, cdr: bytes) -> None:
        """Take a message if an episode is open; never waits for the disk."""
        sink = self._sink
        if sink is not None:
            sink.offer(topic, msgtype, log_ns, cdr)

    def lose(self, topic: str, count: int) -> None:
        """Count messages that the transport lost."""
        sink = self._sink
        if sink is not None and count:
            sink.lost[topic] += count

    def pump(self, steady_ns: int) -> None:
        """Write what waits; closes an episode whose disk is full or nearly so."""
        with self._lock:
            if self._sink is None:
                return
            self._sink.pump(steady_ns)
            if not self._sink.ended:
                return
            self.failed |= self._sink.ended != "disk_low"
            try:
                self.stop()
            except SmpError as error:
                self._say(str(error))

    def start(self, steady_ns: int) -> str:
        """Open the next free episode of the present task.

        Raises:
            SmpError: one is open, the queue is done, the disk is too full, or the folder cannot be made.
        """
        with self._lock:
            if self._sink is not None:
                raise SmpError("already recording: stop or discard the open episode first")
            entry = self.queue.current
            if entry is None:
                raise SmpError(f"the queue is done ({self.queue}): set another with the parameter task")
            folder = self._place(slug(entry.task))
            storage = self.config.storage
            writer = BagWriter(folder, self.robot, entry.task, self._safety, storage)
            self._lengths.setdefault(entry.task, lengths_s(folder.parent))
            self._sink = Sink(writer, Tracks(self.robot), storage, steady_ns, self._free)
            self._entry, self._success, self.verdict = entry.task, None, None
            return self._say(f"recording {folder}")

    def label(self, success: bool) -> str:
        """Say whether the open episode succeeded; raises SmpError where none is open."""
        if self._sink is None:
            raise SmpError("not recording: label an episode before it is stopped")
        self._success = success
        return self._say(f"labelled a {'success' if success else 'failure'}")

    def stop(self) -> str:
        """Close the open episode and judge it; raises SmpError where none is open, or it cannot be closed."""
        with self._lock:
            sink, self._sink = self._sink, None
            if sink is None:
                raise SmpError("not recording")
            return self._say(self._close(sink))

    def discard(self) -> str:
        """Remove the open episode, or the last one of this session; raises SmpError where there is none."""
        with self._lock:
            if self._sink is not None:
                self._sink.discard()
                self._sink = None
                return self._say("discarded the open episode")
            if self._last is None:
                raise SmpError("nothing to discard: no episode was recorded since the recorder started")
            (folder, task, counted), self._last = self._last, None
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise BagError(f"'{folder}' cannot be removed: {error.strerror}") from error
            self.queue.kept(task, -counted)
            if self._lengths[task]:
                self._lengths[task].pop()
            return self._say(f"discarded {folder}")

    def skip(self) -> str:
        """Go on to the next task; raises SmpError while an episode is open."""
        if self._sink is not None:
            raise SmpError("recording: stop the open episode first")
        self.queue.skip()
        entry = self.queue.current
        return self._say("the queue is done" if entry is None else f"next: {entry.task}")

    def report(self) -> dict[str, object]:
        """Return what the recorder is doing, for people and diagnostics."""
        sink, entry = self._sink, self.queue.current
        failures = sink.failures if sink is not None else {}
        total = self.dropped + sum(failures.values())
        refused = sum(track.refused.total() for track in sink.tracks.all()) if sink is not None else 0
        values: dict[str, object] = {
            "recording": sink is not None,
            "task": entry.task if entry else "",
            "queue": str(self.queue),
            "said": self.said,
            "last": str(self._last[0].absolute()) if self._last else "",
            "messages": sum(sink.tracks.counts.values()) if sink is not None else 0,
            "seconds": round(sink.tracks.duration_s, 2) if sink is not None else 0.0,
            "dropped": total,
            "refused": refused,
            **{f"dropped/{topic}": count for topic, count in sorted(failures.items())},
        }
        if self.verdict is not None:
            values |= self.verdict.notes()
        if total or self.failed:
            values["warning"] = f"{total} messages dropped" if total else "an episode could not be written"
        elif refused:
            values["warning"] = f"{refused} messages of this episode cannot be used"
        return values

    def _close(self, sink: Sink) -> str:
        sink.finish()
        failures = sink.failures
        self.dropped += sum(failures.values())
        quality = judge(sink.tracks, self.config.quality, self._lengths[self._entry], failures)
        notes = quality.notes() | {f"dropped{topic}": str(count) for topic, count in failures.items()}
        if sink.ended:
            notes["truncated"] = sink.ended
        try:
            folder = sink.close(self._success, notes)
        except Exception as error:  # of the disk, or what ended the writing before
            self.failed = True
            reason = one_line(getattr(error, "strerror", None) or repr(error))
            raise BagError(f"the episode could not be closed ({reason}): smp bag repair it") from error
        self.verdict = quality
        counted = int(quality.level < Level.REJECT and self._success is not False)
        self.queue.kept(self._entry, counted)
        self._last = folder, self._entry, counted
        self._lengths[self._entry].append(quality.duration_s)
        cut = f"; truncated: {sink.ended}" if sink.ended else ""
        reasons = quality.notes()["reasons"]
        return f"saved {folder} ({sum(quality.counts.values())} messages): {quality.word}{cut}" + (
            f": {reasons}" if reasons else ""
        )

    def _place(self, task: str) -> Path:
        """Return the folder of the next episode; raises SmpError where there is no room for it."""
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            free, need = self._free(self._out), needed_bytes(self.config.storage, self._rate())
            folder = _next_folder(self._out / task)
        except OSError as error:
            raise BagError(
                f"nothing can be recorded in '{self._out}': {error.strerror}; set out to a folder"
            ) from error
        if not free >= need:
            raise SmpError(
                f"{free / GIB:.2f} GiB free in '{self._out}', {need / GIB:.2f} GiB are needed: make room, "
                "or lower min_free_gib in config/recording"
            )
        return folder

    def _rate(self) -> float:
        """Return what raw cameras and a kilobyte per joint message would write [bytes/s]."""
        cameras = sum(c.width * c.height * (4 if c.depth else 3) * c.rate_hz for c in self.robot.cameras)
        return cameras + len(self.robot.arms) * 4 * 1024 * self.robot.state_rate_hz

    def _say(self, text: str) -> str:
        self.said = text
        return text


def _warm_up(robot: Robot) -> None:
    """Load message definitions and their decoders now: at the first message of an episode they would delay the disk."""
    tracks, encoder = Tracks(robot), Encoder(robot)
    for joints in robot.state_topics:
        kind, cdr = measured_cdr(joints.arms, 1, joints.names, np.zeros(len(joints.names)))
        tracks.take(joints.topic, kind, 1, cdr)
        definition(kind)
    for camera in robot.cameras:
        black = camera.blank(camera.height, camera.width)
        heard = (camera.topic, IMAGE, image_cdr(1, camera.name, black))
        if camera.compressed:
            heard = (camera.topic, COMPRESSED, jpeg_cdr(1, camera.name, black, camera.jpeg_quality))
        topic, kind, cdr = encoder.encode(*heard)
        tracks.take(topic, kind, 1, cdr)
        definition(kind)
    tracks.take(COMMAND_STATE, DIAGNOSTICS, 1, bytes(8))
    for kind in (DIAGNOSTICS, *(vector.type for vector in robot.vectors)):
        definition(kind)


def _next_folder(task: Path) -> Path:
    """Return the first folder `episode_NNNNN` of a task that does not exist, half-written ones included."""
    index = 0
    while any((task / f"episode_{index:05d}{end}").exists() for end in ("", PARTIAL)):
        index += 1
    return task / f"episode_{index:05d}"
