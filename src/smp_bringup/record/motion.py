"""Arithmetic on the tracks of an episode: what moves when, and how far leaders and followers are apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smp_bringup.arm import Arm
from smp_bringup.record.tracks import Track, Tracks
from smp_bringup.types import FloatArray

_MOVING_RAD_S = 0.02
"""A joint faster than this moves [rad/s]; one that travels in m, at a tenth [m/s]."""
_MOVED_RAD = 0.01
"""A joint this far from where it stood has moved [rad]; one that travels in m, at a tenth [m]."""
_CLIP_RAD = 0.12
"""A command this far from its leader, lag removed, was cut off by a limit."""
_BEYOND_RAD = 1e-3
_LAGS_S = np.arange(0.0, 0.31, 0.02)

BoolArray = NDArray[np.bool_]


def repeats_while_moving(track: Track, tracks: Tracks) -> BoolArray:
    """Return per frame but the first whether it equals the one before, where the camera's surroundings moved between.

    A camera on an arm sees motion when that arm moves, one that stands still when any arm does.
    """
    carrier = tracks.robot.camera(track.name).arm
    states = [tracks.states[carrier]] if carrier else list(tracks.states.values())
    stamps = np.array(track.stamp_ns, dtype=np.int64)
    moving = np.zeros(len(stamps) - 1, dtype=bool)
    for state in states:
        if len(state.values) > 1:
            speed = _speed(state, tracks.robot.arm(state.name))
            at = np.clip(np.searchsorted(state.stamp_ns, stamps), 1, len(speed)) - 1
            moving |= (speed[at[1:]] > 1.0) & (speed[at[:-1]] > 1.0)
    equal = np.diff(np.array(track.values, dtype=np.int64)) == 0
    return np.asarray(equal[moving])


def _speed(state: Track, arm: Arm) -> FloatArray:
    """Return the speed of the fastest joint between samples (N - 1,), 1 being where motion begins."""
    scale = np.array([1.0 if joint.turns else 0.1 for joint in arm.joints]) * _MOVING_RAD_S
    elapsed = np.maximum(np.diff(np.array(state.stamp_ns, dtype=np.int64)) / 1e9, 1e-4)
    rows = np.array(state.values)
    rates = np.array([joint.rate for joint in arm.joints])
    step = np.where(rates, np.abs(rows[1:]) * elapsed[:, None], np.abs(np.diff(rows, axis=0))) / scale
    return np.asarray(step.max(axis=1) / elapsed)


def longest_run(flags: BoolArray) -> int:
    """Return the length of the longest run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def nearest_distance_s(reference_ns: Sequence[int], other_ns: Sequence[int], percentile: float = 95) -> float:
    """Return a percentile of the distances from reference stamps to the nearest other stamp [s]."""
    reference, other = np.array(reference_ns, dtype=np.int64), np.sort(np.array(other_ns, dtype=np.int64))
    after = np.clip(np.searchsorted(other, reference), 0, len(other) - 1)
    before = np.maximum(after - 1, 0)
    distance = np.minimum(np.abs(other[after] - reference), np.abs(other[before] - reference))
    return float(np.percentile(distance, percentile)) / 1e9


def leader_offset(leader: Track, follower: Track) -> FloatArray | None:
    """Return follower minus leader (n,), the median over time after the lag at which they are closest.

    None where one of them said too little.
    """
    pair = _paired(leader, follower)
    if pair is None:
        return None
    return np.asarray(np.median(pair[1] - pair[0], axis=0))


def clipped_share(leader: Track, command: Track, arm: Arm) -> tuple[float, str]:
    """Return the share of the time in which the worst joint's leader is cut off by a limit, and that joint's name."""
    pair = _paired(leader, command)
    if pair is None:
        return 0.0, ""
    wanted, told = pair
    low, high = np.array([j.min for j in arm.joints]), np.array([j.max for j in arm.joints])
    grip = np.array([1.0 if joint.turns else 0.1 for joint in arm.joints])
    beyond = (wanted > high + _BEYOND_RAD * grip) | (wanted < low - _BEYOND_RAD * grip)
    cut = beyond | (np.abs(wanted - told) > _CLIP_RAD * grip)
    share = cut.mean(axis=0)
    worst = int(share.argmax())
    return float(share[worst]), arm.joints[worst].name


def _paired(leader: Track, follower: Track) -> tuple[FloatArray, FloatArray] | None:
    """Return leader (N, n) and follower (N, n) at the follower's stamps, the leader delayed as fits best."""
    if len(leader.values) < 2 or len(follower.values) < 2:
        return None
    base = leader.stamp_ns[0]
    at = (np.array(follower.stamp_ns, dtype=np.int64) - base) / 1e9
    known = (np.array(leader.stamp_ns, dtype=np.int64) - base) / 1e9
    order = np.argsort(known, kind="stable")
    rows, measured = np.array(leader.values)[order], np.array(follower.values)

    def delayed(lag: float) -> FloatArray:
        return np.stack([np.interp(at - lag, known[order], column) for column in rows.T], axis=1)

    spread = [np.abs(e - np.median(e, axis=0)).mean() for e in (measured - delayed(lag) for lag in _LAGS_S)]
    return delayed(float(_LAGS_S[int(np.argmin(spread))])), measured


def idle_s(tracks: Tracks) -> tuple[float, float] | None:
    """Return how long nothing moves at the beginning and at the end [s]; None if nothing ever does."""
    if tracks.span_ns is None:
        return None
    starts, ends = [], []
    for arm in tracks.robot.arms:
        for track in (tracks.states[arm.name], tracks.leaders[arm.name]):
            if len(track.values) < 2:
                continue
            scale = np.array([1.0 if joint.turns else 0.1 for joint in arm.joints]) * _MOVED_RAD
            rows = np.array(track.values)
            moved = (np.abs(rows - rows[0]) > scale).any(axis=1)
            unsettled = (np.abs(rows - rows[-1]) > scale).any(axis=1)
            if moved.any():
                starts.append(track.log_ns[int(moved.argmax())])
                ends.append(track.log_ns[len(rows) - 1 - int(unsettled[::-1].argmax())])
    if not starts:
        return None
    return (min(starts) - tracks.span_ns[0]) / 1e9, (tracks.span_ns[1] - max(ends)) / 1e9
