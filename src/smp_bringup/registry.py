"""One registry type for policies, gates, checks, tasks and robots."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from smp_bringup.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names mapped to entries; an unknown name raises `UnknownNameError` with the nearest."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers its argument under `name`."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self._kind} '{name}' is registered twice")
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            raise UnknownNameError(self._kind, name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
