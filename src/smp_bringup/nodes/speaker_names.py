"""Names for people of who publishes: the node's, with a number where it is not the first of that name."""


class SpeakerNames:
    """What publishers are called; each keeps what it was first called, and no two are called the same."""

    def __init__(self) -> None:
        self._named: dict[bytes, str] = {}
        self._count: dict[str, int] = {}
        self._taken: set[str] = set()

    def name(self, gid: bytes, node: str) -> str:
        """Return the name of a publisher of a node; the node is "" where nobody knows it yet."""
        if gid not in self._named:  # kept: a name that is learnt later must not make a second source of one publisher
            self._named[gid] = self._new(node or "a publisher")
        return self._named[gid]

    def _new(self, node: str) -> str:
        """Return a name that nobody has, as what a stranger's node is called may be that of another's publisher."""
        while True:
            self._count[node] = count = self._count.get(node, 0) + 1
            name = node if count == 1 else f"{node} (publisher {count})"
            if name not in self._taken:
                self._taken.add(name)
                return name

    def known(self, gid: bytes) -> str | None:
        """Return the name of a publisher that was asked for before, None of another."""
        return self._named.get(gid)
