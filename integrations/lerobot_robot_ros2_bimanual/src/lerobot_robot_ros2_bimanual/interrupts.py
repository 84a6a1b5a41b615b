"""Ctrl-C, taken where it does no harm."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupts:
    """Keeps SIGINT from whoever handles it (Python: KeyboardInterrupt) while this process is inside rclpy.

    An exception that strikes while a message is converted is another one when rclpy is left.
    """

    def __init__(self) -> None:
        self._came, self._inside, self._patient = False, False, False
        self._handler: object = None

    @contextmanager
    def deferred(self, patient: bool = False) -> Iterator[None]:
        """Let SIGINT wait until `look`; where what is done must be finished (`patient`), until the block is left."""
        if self._inside or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._handler = signal.signal(signal.SIGINT, self._note)
        self._inside, self._patient = True, patient
        try:
            yield
        finally:
            self._inside = self._patient = False
            signal.signal(signal.SIGINT, self._handler)  # type: ignore[arg-type]  # as it was given
        self.look()

    def look(self) -> None:
        """Hand over a SIGINT that waits: mostly KeyboardInterrupt is raised."""
        if self._came and not self._patient:
            self._came = False
            if callable(self._handler):
                self._handler(signal.SIGINT, None)

    def _note(self, *_: object) -> None:
        self._came = True


INTERRUPTS = Interrupts()
"""Those of this process."""
