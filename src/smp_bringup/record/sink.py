"""Between the topics and the disk: a bounded queue that never blocks, and a writer that flushes by time.

`offer` is called by whoever hears messages, `pump` by one other thread. What does not fit is
dropped and counted; control never waits for a disk.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from smp_bringup.bag.disk import MIB, free_bytes
from smp_bringup.bag.images import Encoder
from smp_bringup.bag.settings import StorageConfig
from smp_bringup.bag.writer import BagWriter
from smp_bringup.errors import one_line
from smp_bringup.record.tracks import Tracks
from smp_bringup.types import nanoseconds, seconds

GIB = 1 << 30
_LOOK_NS = nanoseconds(0.5)
"""Period of looking at the free space."""
_RATE_S = 5.0
"""The rate of writing is taken over the last so many seconds."""


class _Item(NamedTuple):
    topic: str
    msgtype: str
    log_ns: int
    cdr: bytes
    sequence: int


class Sink:
    """One open episode; times are of a steady clock that the caller reads."""

    def __init__(
        self,
        writer: BagWriter,
        tracks: Tracks,
        config: StorageConfig,
        steady_ns: int,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.tracks, self._writer, self._config, self._free = tracks, writer, config, free
        self._encoder = Encoder(tracks.robot)
        self._lock = Lock()
        self._queue: deque[_Item] = deque()
        self._queued_bytes = 0
        self._unseen: deque[_Item] = deque()
        self._arrived: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        """Messages per topic that arrived and could not be kept."""
        self.lost: Counter[str] = Counter()
        """Messages per topic that the transport says it lost."""
        self.ended = ""
        """Why nothing more is written: "disk_low", "disk_full" or an error; empty while all is well."""
        self.broken: Exception | None = None
        """The error that left the file in an unknown state."""
        self._flushed_ns = self._synced_ns = self._looked_ns = steady_ns
        self._written: deque[tuple[int, int]] = deque([(steady_ns, 0)])

    @property
    def failures(self) -> dict[str, int]:
        """Messages per topic that are not in the bag."""
        return dict(self.dropped + self.lost)

    def offer(self, topic: str, msgtype: str, log_ns: int, cdr: bytes) -> None:
        """Take a message; never waits."""
        with self._lock:
            self._arrived[topic] += 1
            if self.ended or self._queued_bytes + len(cdr) > self._config.queue_mib * MIB:
                self.dropped[topic] += 1
                return
            self._queue.append(_Item(topic, msgtype, log_ns, cdr, self._arrived[topic] - 1))
            self._queued_bytes += len(cdr)

    def pump(self, steady_ns: int) -> None:
        """Write what waits, flush and sync when it is time, and look at the disk; an error ends the episode."""
        self._guarded(lambda: self._serve(steady_ns))
        self._observe()

    def _serve(self, steady_ns: int) -> None:
        self._write_all()
        if not self.ended and steady_ns - self._flushed_ns >= nanoseconds(self._config.flush_s):
            self._writer.flush()
            self._flushed_ns = steady_ns
        if not self.ended and steady_ns - self._synced_ns >= nanoseconds(self._config.sync_s):
            self._writer.sync()
            self._synced_ns = steady_ns
        if self._writer.full:
            self._end("disk_full")
        elif steady_ns - self._looked_ns >= _LOOK_NS:
            self._look(steady_ns)

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do something to the file; after an error of the disk or of ours nothing more is written, and that is said."""
        try:
            act()
        except Exception as error:
            self.broken = error
            self._end(f"write error: {one_line(getattr(error, 'strerror', None) or repr(error))}")

    def close(self, success: bool | None, notes: Mapping[str, str]) -> Path:
        """Close the bag; an unwritable one stays under its temporary name.

        Raises:
            OSError: the disk does not take it; or the error after which nothing more was written.
        """
        try:
            if self.broken is not None:
                raise self.broken
            return self._writer.close(success, notes)
        except Exception:
            self._writer.abandon()
            raise

    def discard(self) -> None:
        """Remove the episode."""
        self._writer.discard()

    def finish(self) -> None:
        """Write what waits, and let the tracks see it: the verdict is next."""
        self._guarded(self._write_all)
        self._observe()

    def _observe(self) -> None:
        """Let the tracks see what was written; the disk comes first."""
        while self._unseen:
            item = self._unseen.popleft()
            self.tracks.take(item.topic, item.msgtype, item.log_ns, item.cdr)

    def _write_all(self) -> None:
        while not self.ended:
            with self._lock:
                if not self._queue:
                    return
                item = self._queue.popleft()
                self._queued_bytes -= len(item.cdr)
            self._unseen.append(item)
            topic, msgtype, cdr = self._encoder.encode(item.topic, item.msgtype, item.cdr)
            try:
                self._writer.write(topic, msgtype, item.log_ns, cdr, item.sequence)
            except Exception:
                self.dropped[item.topic] += 1
                raise
            if self._writer.full:
                self._end("disk_full")

    def _look(self, steady_ns: int) -> None:
        self._looked_ns = steady_ns
        self._written.append((steady_ns, self._writer.written_bytes))
        while seconds(steady_ns - self._written[0][0]) > _RATE_S:
            self._written.popleft()
        (first_ns, first), (last_ns, last) = self._written[0], self._written[-1]
        rate = (last - first) / max(0.1, seconds(last_ns - first_ns))
        need = needed_bytes(self._config, rate)
        if not self._free(self._writer.folder.parent) >= need:
            self._end("disk_low")

    def _end(self, reason: str) -> None:
        """Write nothing more; what waits is dropped and counted."""
        if self.ended:
            return
        with self._lock:
            self.ended = reason
            self.dropped.update(item.topic for item in self._queue)
            self._queue.clear()
            self._queued_bytes = 0


def needed_bytes(config: StorageConfig, rate: float) -> float:
    """Return the free space that recording at `rate` [bytes/s] asks for."""
    return max(config.min_free_gib * GIB, config.min_free_s * rate)
