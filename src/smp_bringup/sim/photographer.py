"""Draws the frames of a live simulation in a thread of its own: physics and joint states go on meanwhile."""

from collections.abc import Callable, Sequence
from queue import Queue
from threading import Thread

import mujoco

from smp_bringup.sim.world import World
from smp_bringup.types import Frame

Exposure = tuple[World, mujoco.MjData, Sequence[str], int]


class Photographer:
    """Takes exposures and delivers frames, each camera's in order; a GL context belongs to its thread."""

    def __init__(self, deliver: Callable[[str, Frame], None]) -> None:
        """`deliver` is called in the photographer's thread with each camera and frame."""
        self._deliver = deliver
        self._film: Queue[Exposure | None] = Queue(maxsize=1)
        self._error: Exception | None = None
        self.missed = 0
        """Exposures that came while one was drawn and another waited."""
        self._thread = Thread(target=self._work, name="photographer", daemon=True)
        self._thread.start()

    def expose(self, world: World, cameras: Sequence[str], stamp_ns: int) -> None:
        """Take what cameras see of a world now; raises what drawing an earlier exposure raised."""
        if self._error is not None:
            raise self._error
        if self._film.full():
            self.missed += 1
        else:
            self._film.put((world, world.snapshot(), cameras, stamp_ns))

    def wait(self) -> None:
        """Wait until every exposure is delivered: then a world may be changed."""
        self._film.join()

    def close(self) -> None:
        """Deliver what was exposed, free the GL contexts and end."""
        self._film.put(None)
        self._thread.join()

    def _work(self) -> None:
        worlds = set()
        while (exposure := self._film.get()) is not None:
            try:
                worlds.add(exposure[0])
                self._draw(*exposure)
            except Exception as error:  # goes to whoever exposes next
                self._error = error
            finally:
                self._film.task_done()
        for world in worlds:
            world.close()

    def _draw(self, world: World, data: mujoco.MjData, cameras: Sequence[str], stamp_ns: int) -> None:
        for camera in cameras:
            self._deliver(camera, Frame(stamp_ns, world.render(camera, data)))
