"""A foot pedal: what each of its buttons does to the recorder."""

from collections.abc import Callable, Iterator, Sequence

from smp_bringup.record.config import PedalConfig
from smp_bringup.record.recorder import Recorder

Press = Callable[[Recorder, Callable[[], str]], str]
"""Acts on a recorder, which the second argument starts."""


class Pedal:
    """Finds the presses in a stream of button states; holding a button down is one press."""

    def __init__(self, config: PedalConfig) -> None:
        self._actions: dict[int, Press] = {
            config.toggle: _toggle,
            config.failure: _failure,
            config.discard: lambda recorder, start: recorder.discard(),
        }
        self._down: set[int] = set()

    def pressed(self, buttons: Sequence[int]) -> Iterator[Press]:
        """Yield what the newly pressed buttons ask for."""
        down = {i for i, state in enumerate(buttons) if state}
        fresh, self._down = down - self._down, down
        for index in sorted(fresh & self._actions.keys()):
            yield self._actions[index]


def _toggle(recorder: Recorder, start: Callable[[], str]) -> str:
    if not recorder.recording:
        return start()
    recorder.label(True)
    return recorder.stop()


def _failure(recorder: Recorder, start: Callable[[], str]) -> str:
    recorder.label(False)
    return recorder.stop()
