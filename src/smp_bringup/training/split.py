"""Which demonstrations a policy learns from, and which are held out to see what it learnt."""

from collections.abc import Sequence
from itertools import chain, zip_longest

import numpy as np

from smp_bringup.errors import BagError


def split(
    tasks: Sequence[str], held_out: float, seed: int, marked: Sequence[bool] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Return the episodes to train on and the held-out ones, of which the first are of as many tasks as there are.

    Args:
        tasks: (E,) of each episode.
        held_out: share of the episodes of each task; at least one of all is held out, and of several one is left.
        seed: of the choice.
        marked: (E,) whether somebody marked an episode as held out; where one is, the marks alone decide.

    Raises:
        BagError: every episode is marked as held out.
    """
    if any(marked):
        held = np.asarray(marked, dtype=bool)
        if held.all():
            raise BagError(f"all {len(tasks)} episodes are marked as held out: mark some of them as training")
        return np.flatnonzero(~held), _in_turn(np.flatnonzero(held), tasks)
    order = np.random.default_rng(seed).permutation(len(tasks))
    if len(tasks) == 1:
        return order, order
    groups = _by_task(order, tasks)
    counts = _shares([len(group) for group in groups], held_out)
    held = np.concatenate([group[:count] for group, count in zip(groups, counts, strict=True)])
    return order[~np.isin(order, held)], _in_turn(held, tasks)


def _by_task(episodes: np.ndarray, tasks: Sequence[str]) -> list[np.ndarray]:
    """Return the episodes (N,) of each task, in their order."""
    mine = np.array([tasks[e] for e in episodes])
    return [episodes[mine == task] for task in dict.fromkeys(tasks)]


def _in_turn(episodes: np.ndarray, tasks: Sequence[str]) -> np.ndarray:
    """Return the episodes (N,) with the first of each task before the second of any."""
    rounds = chain(*zip_longest(*_by_task(episodes, tasks)))
    return np.array([e for e in rounds if e is not None], np.int64)


def _shares(sizes: Sequence[int], share: float) -> list[int]:
    """Return how many of each group are taken: its share rounded down, and where most is cut off, one more."""
    wanted = np.array(sizes) * share
    most = np.array(sizes) - (1 if max(sizes) > 1 else 0)
    counts = np.minimum(wanted.astype(int), most)
    left = min(max(1, round(sum(sizes) * share)), sum(sizes) - 1) - counts.sum()
    for group in np.argsort(counts - wanted, kind="stable"):
        if left > 0 and counts[group] < most[group]:
            counts[group], left = counts[group] + 1, left - 1
    return [int(count) for count in counts]
