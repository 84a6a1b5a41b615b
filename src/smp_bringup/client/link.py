"""What the way to the policy and back takes, from what the nodes say: each difference is taken on one clock alone."""

from collections.abc import Mapping
from typing import NamedTuple

Report = Mapping[str, str]
"""Keys and values of a node on /diagnostics."""


class Link(NamedTuple):
    """Between the sync and command nodes on one side and the policy node on the other."""

    round_trip_ms: float
    """From the publication of an observation to the policy's callback, and from a chunk's publication to the command
    node's: the middleware, the network, and waiting for the receiver."""
    clock_ms: float
    """By how much the policy's clock is ahead, if both ways take equally long."""


def link(sync: Report, policy: Report, command: Report) -> Link | None:
    """Return the medians of the last second, or None where a node has not said them."""
    try:
        sent, arrived = float(sync["age_ms/observation/p50"]), float(policy["age_ms/observation/p50"])
        answered, back = float(policy["stamp_to_chunk_ms/p50"]), float(command["age_ms/chunk/p50"])
    except KeyError:
        return None
    if not (arrived and answered and back):  # nothing came in that second
        return None
    round_trip = back - sent - (answered - arrived)
    return Link(round(round_trip, 3), round(arrived - sent - round_trip / 2, 3))
