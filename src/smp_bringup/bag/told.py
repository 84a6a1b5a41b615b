"""What metadata.yaml says of a bag's messages, held against what its files hold: others believe it unread."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smp_bringup.bag.metadata import METADATA
from smp_bringup.documents import shown
from smp_bringup.errors import one_line

_MOST_MESSAGES = 1 << 40
_NAMED = 4
"""Topics in a sentence."""


@dataclass(frozen=True)
class Told:
    """What a bag's metadata says; nothing, where there is none, or where it does not say."""

    messages: int | None = None
    """In all."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Messages per topic."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Message type per topic."""
    odd: tuple[str, ...] = ()
    """What cannot be a count."""

    @staticmethod
    def of(information: Mapping[str, Any]) -> "Told":
        """Return what the mapping in a metadata.yaml says; what it says is no number counts nothing."""
        counts: Counter[str] = Counter()
        types, odd, messages = dict[str, str](), list[str](), information.get("message_count")
        topics = information.get("topics_with_message_count")
        for topic in topics if isinstance(topics, list) else ():
            try:
                about, count = topic["topic_metadata"], topic["message_count"]
                name, kind = about["name"], about["type"]
            except (KeyError, TypeError):
                continue
            if not (isinstance(name, str) and isinstance(kind, str)):
                continue
            types[name] = kind
            if _is_count(count):
                counts[name] += count
            else:
                odd.append(f"{METADATA} says {shown(count)} messages of {shown(name)}")
        if messages is not None and not _is_count(messages):
            odd, messages = [f"{METADATA} says {shown(messages)} messages", *odd], None
        return Told(messages, counts, types, tuple(odd))

    def against(self, kinds: Mapping[str, Counter[str]]) -> tuple[list[str], list[str]]:
        """Return in what the files differ from this, and what of this they lack, a sentence each.

        Args:
            kinds: messages of each type per topic, as the files have them.
        """
        there = {topic: each.total() for topic, each in kinds.items()}
        total, differs, lacks = sum(there.values()), list(self.odd), list[str]()
        if self.messages is not None and self.messages != total:
            in_all = f"{METADATA} says {self.messages} messages, {total} are there"
            (lacks if self.messages > total else differs).append(in_all)
        less_in_all = len(differs) > len(self.odd)
        said = {topic: (count, there.get(topic, 0)) for topic, count in self.counts.items()}
        fewer = [f"{count} of {one_line(topic)} (found: {n})" for topic, (count, n) in said.items() if count > n]
        more = [f"{count} of {one_line(topic)} (found: {n})" for topic, (count, n) in said.items() if count < n]
        other = [
            f"{one_line(topic)} is {one_line(kind)} (its file: {one_line(', '.join(kinds[topic]))})"
            for topic, kind in self.types.items()
            if topic in kinds and kind not in kinds[topic]
        ]
        if not lacks and fewer:
            lacks.append(_sentence(fewer))
        differs += [_sentence(each) for each in (more, other) if each and not (each is more and less_in_all)]
        return differs, lacks


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST_MESSAGES


def _sentence(parts: Sequence[str]) -> str:
    rest = f", and so of {len(parts) - _NAMED} topics more" if len(parts) > _NAMED else ""
    return f"{METADATA} says {', '.join(parts[:_NAMED])}{rest}"
