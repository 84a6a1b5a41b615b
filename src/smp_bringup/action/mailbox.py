"""A mailbox of one: the newest value replaces the one nobody has taken."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Hands the latest value from one thread to another."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._value: T | None = None
        self._closed = False

    def put(self, value: T) -> bool:
        """Leave a value; return whether it replaced one that was not taken."""
        with self._ready:
            replaced = self._value is not None
            self._value = value
            self._ready.notify()
            return replaced

    def take(self) -> T | None:
        """Wait for a value and take it; None once the mailbox is closed."""
        with self._ready:
            self._ready.wait_for(lambda: self._closed or self._value is not None)
            value, self._value = self._value, None
            return None if self._closed else value

    def close(self) -> None:
        """Let `take` return None from now on."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
