"""Episodes and stops on the disk, for browsers: listed and read by a process of its own, so that no stop waits for it.

A browser never names a file: it names what it was given in a list, and only that is looked up.
"""

import asyncio
import os
import signal
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from smp_bringup.bag.disk import MIB, free_bytes
from smp_bringup.bag.marks import write_mark
from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import BagError, SmpError
from smp_bringup.processes import deaf
from smp_bringup.record.shelf import shelf
from smp_bringup.record.stops import STOPPED
from smp_bringup.record.story import Story, replay_command, tell

T = TypeVar("T")
DATA, STOPS = "data", "stops"
_REMEMBERED = 6
"""Stories that are kept in memory: a few megabytes each."""
_NICE = 5


class Library:
    """What browsers may look at; of one event loop."""

    def __init__(self, data: Path, stops: Path) -> None:
        self._roots = {DATA: data.absolute(), STOPS: stops.absolute()}
        self._folders: dict[str, dict[str, Path]] = {DATA: {}, STOPS: {}}
        self._stories: OrderedDict[tuple[str, tuple[int, ...]], asyncio.Task[Story]] = OrderedDict()
        self._pool: ProcessPoolExecutor | None = None
        self.version = 0
        """Counts the marks: lists have changed when it has."""

    def close(self) -> None:
        """End the process that reads."""
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def entries(self, which: str) -> dict[str, Any]:
        """Return the list of a shelf, and the room that is left beside it."""
        root = self._roots[which]
        found: list[dict[str, Any]] = await self.run(shelf, root)
        self._folders[which] = {_key(Path(entry["path"])): Path(entry["path"]) for entry in found}
        listed = [{**entry, "id": _key(Path(entry["path"]))} for entry in found]
        return {"folder": str(root), "entries": listed, "free_gib": _free_gib(root)}

    async def story(self, which: str, key: str) -> Story:
        """Return what an entry of the last list shows.

        Raises:
            BagError: no such entry was listed, or it cannot be read.
        """
        folder = self.folder(key, which)
        times = tuple(file.stat().st_mtime_ns for file in sorted(folder.iterdir()) if file.is_file())
        name = str(folder), times
        task = self._stories.get(name)
        if task is None or (task.done() and task.exception() is not None):
            task = self._stories[name] = asyncio.create_task(self.run(read_story, folder))
        self._stories.move_to_end(name)
        while len(self._stories) > _REMEMBERED:
            self._stories.popitem(last=False)
        return await asyncio.shield(task)

    def mark(self, key: str, what: str, value: str) -> None:
        """Say something of an episode; raises SmpError where it was not listed, or that may not be said."""
        write_mark(self.folder(key), what, value)
        self.version += 1

    def folder(self, key: str, which: str = DATA) -> Path:
        """Return the folder of an entry of the last list; raises BagError where it was not listed, or is gone."""
        folder = self._folders.get(which, {}).get(key)
        if folder is None or folder.is_symlink() or not folder.is_dir():
            raise BagError("no such episode is listed: load the page again")
        return folder

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Do something in the other process; one that died is replaced for the next."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)
        pool = self._pool
        try:
            with deaf():  # the process is started by the first thing that it is given to do
                done = asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
            return await done
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = None
            raise BagError("reading it ended the process that reads: smp bag check says what is wrong") from None


def read_story(folder: Path) -> Story:
    """Return what a bag shows."""
    bag = open_bag(folder)
    return tell(bag, bag.robot(), replay_command(bag) if STOPPED in bag.episode else "")


def _key(folder: Path) -> str:
    return sha256(os.fsencode(folder)).hexdigest()[:24]


def _free_gib(root: Path) -> float | None:
    """Return the room on the disk of a folder, or of the nearest above it that exists [GiB]."""
    for folder in (root, *root.parents):
        with suppress(OSError):
            return round(free_bytes(folder) / (1024 * MIB), 1)
    return None


def _begin() -> None:
    os.nice(_NICE)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the console ends it


def said(error: Exception) -> str:
    """Return what a browser is told of an error."""
    return str(error) if isinstance(error, SmpError) else "the file is gone or cannot be read"
