"""A topic that nobody publishes: its name, its type, and one on the graph that looks like it."""

from collections.abc import Collection, Mapping
from difflib import SequenceMatcher

from smp_bringup.errors import one_line
from smp_bringup.names import is_free

_ALIKE = 0.6
"""Names of topics of another type that share less are not taken for it."""
_SHOWN = 200
"""Characters of a topic's name that stand in a message."""


def absent(topic: str, kind: str, published: Mapping[str, Collection[str]], taken: Collection[str] = ()) -> str:
    """Return that nobody publishes a topic as what it should be, and which one might be meant.

    Args:
        topic: its full name.
        kind: its type, e.g. sensor_msgs/msg/Image.
        published: by full name, the types of each topic that somebody publishes.
        taken: topics that are known to be something else.
    """
    if wrong := sorted(set(published.get(topic, ())) - {kind}):  # ours is among them where we listen
        return f"{topic} is published as {', '.join(map(_shown, wrong))}, expected {kind}"
    said = f"nobody publishes {topic} ({kind})"
    others = {name: kinds for name, kinds in published.items() if name not in (topic, *taken) and is_free(name)}
    same = sorted((name for name, kinds in others.items() if kind in kinds), key=lambda name: -_likeness(topic, name))
    if same:
        more = f" and {len(same) - 1} more" if len(same) > 1 else ""
        return f"{said}; of that type there is {_shown(same[0])}{more}"
    near = max(others, key=lambda name: _likeness(topic, name), default="")
    if near and _likeness(topic, near) >= _ALIKE:
        return f"{said}; {_shown(near)} looks like it, as {', '.join(map(_shown, sorted(others[near])))}"
    return f"{said}; the graph has no topic of that type"


def _likeness(topic: str, other: str) -> float:
    """Return how much two names share, from 0 to 1."""
    return SequenceMatcher(None, topic, other[:_SHOWN], autojunk=False).ratio()


def _shown(name: str) -> str:
    return one_line(name[:_SHOWN])
