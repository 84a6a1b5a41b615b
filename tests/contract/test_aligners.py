"""Both aligners on the same sound and poisoned streams: what ours promises, and what message_filters does with it."""

import threading
from importlib.util import find_spec

import pytest

from smp_bringup.bench.sync import POISONS, measure, naive_errors, push, simulated
from smp_bringup.errors import InstallError
from smp_bringup.pipeline import build_sync
from smp_bringup.sync.base import AbstractAligner

needs_message_filters = pytest.mark.skipif(
    find_spec("message_filters") is None, reason="message_filters has no wheel: it comes with an installed ROS 2"
)


@pytest.fixture(scope="module")
def streams(robot):
    """A simulated demonstration with 10 ms of camera jitter and 60 ms of camera latency."""
    return simulated(robot, "lift_tray", 1, 0.06, 0.01)


@pytest.mark.parametrize("poison", POISONS)
def test_ours_makes_nearly_every_possible_pair_of_poisoned_streams(robot, streams, poison):
    got = measure(lambda: build_sync(robot), robot, streams, poison)
    assert got["pairs_fraction"] >= (0.98 if "zero" not in poison else 0.75)
    assert got["joint_error_mrad"]["max"] < 2.0


def test_interpolation_is_five_times_better_than_the_latest_sample(robot, streams):
    ours = measure(lambda: build_sync(robot), robot, streams, "sound")["joint_error_mrad"]
    for latest in naive_errors(robot, streams).values():
        assert 5 * ours["p50"] < latest["p50"]
        assert 5 * ours["max"] < latest["max"]


def test_a_consumer_that_raises_locks_nothing_of_ours(robot, streams):
    """F09: sets are returned, not pushed into a callback, so whoever raises is the caller alone."""
    aligner, taken, raised = build_sync(robot), 0, 0
    for event in streams.events:
        push(aligner, robot, event)
        try:
            for _ in aligner.pop():
                taken += 1
                if taken % 3 == 0:
                    raise RuntimeError("the consumer")
        except RuntimeError:
            raised += 1
    assert raised > 10
    assert aligner.counters["pairs"] == streams.possible


def test_message_filters_missing_is_said_in_one_line(robot):
    if find_spec("message_filters") is not None:
        pytest.skip("message_filters is installed here")
    from smp_bringup.nodes.filters_aligner import MessageFiltersAligner

    with pytest.raises(InstallError, match="message_filters not found"):
        MessageFiltersAligner(robot)


def _theirs(robot) -> AbstractAligner:
    from smp_bringup.nodes.filters_aligner import MessageFiltersAligner

    return MessageFiltersAligner(robot)


@needs_message_filters
def test_message_filters_stops_pairing_after_ten_future_stamps(robot, streams):
    sound = measure(lambda: _theirs(robot), robot, streams, "sound")
    assert sound["pairs_fraction"] > 0.8
    poisoned = measure(lambda: _theirs(robot), robot, streams, "ten_future_stamps")
    assert poisoned["pairs_fraction"] < 0.25  # the fifth before the poison, and nothing after it


@needs_message_filters
def test_message_filters_blocks_for_good_after_one_exception_in_its_callback(robot, streams):
    aligner, fed = _theirs(robot), []

    def consumer(*_):
        raise RuntimeError("the consumer")

    aligner._synchronizer.registerCallback(consumer)

    def feed():
        for event in streams.events:
            try:
                push(aligner, robot, event)
            except RuntimeError:
                fed.append("raised")
            fed.append(event)

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    thread.join(timeout=5.0)
    assert thread.is_alive()
    assert fed.count("raised") == 1
    assert len(fed) < len(streams.events)
    aligner._synchronizer.lock.release()  # let the thread end: it meets the next exception, and so on
    while thread.is_alive():
        if aligner._synchronizer.lock.locked():
            aligner._synchronizer.lock.release()
        thread.join(timeout=0.001)
