"""What the transport lost on the way: gaps in the numbers that publishers give their messages."""


class Heard:
    """Follows the publication numbers of every topic; a topic with several publishers cannot be counted."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._mixed: set[str] = set()

    def missed(self, topic: str, number: int) -> int:
        """Return how many messages are missing between the last one of a topic and this one."""
        last = self._last.get(topic)
        self._last[topic] = number
        if last is None or topic in self._mixed:
            return 0
        if number <= last:
            if number > 1:  # 1 is a publisher that was started again
                self._mixed.add(topic)
            return 0
        return number - last - 1
