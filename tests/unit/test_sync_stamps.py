"""The order of stamps, and velocities that are not measured."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smp_bringup.sync.checks import JointOrder
from smp_bringup.sync.stamps import StampOrder

MS = 1_000_000


def admitted(*stamps_ms):
    order = StampOrder()
    return [order.admits(ms * MS) for ms in stamps_ms]


def test_one_late_message_is_refused_and_a_repeated_one_too():
    assert admitted(100, 110, 105, 110, 120) == [True, True, False, True, True]
    assert admitted(100, 110, 110, 110, 120) == [True, True, False, False, True]
    assert admitted(100, 90, 110, 95, 120) == [True, False, True, False, True]


def test_messages_that_come_the_wrong_way_round_are_refused_for_good():
    assert admitted(100, 90, 80, 70, 60) == [True, False, False, False, False]


@pytest.mark.parametrize("step_ms", [-3, -15, -400, -3_600_000])
def test_a_clock_that_was_set_back_is_believed_with_the_second_message(step_ms):
    stamps = [100, 110, *(120 + step_ms + 10 * k for k in range(5))]
    assert admitted(*stamps).count(False) <= 1
    assert admitted(*stamps)[3:] == [True] * 4


@given(st.lists(st.integers(-(2**63), 2**63)))
def test_the_first_and_every_newer_stamp_are_admitted(stamps):
    order, newest = StampOrder(), None
    for stamp in stamps:
        news = newest is None or stamp > newest
        assert order.admits(stamp) or not news
        newest = stamp if news else newest


@pytest.mark.parametrize("velocity", [[], [np.nan] * 3, (np.nan, 5.0, np.nan)])
def test_velocities_that_a_driver_does_not_measure_are_zero(velocity):
    """Of an arm's own joints; the third name is another's."""
    position, read = JointOrder(["a", "b"]).map(["b", "other", "a"], [1.0, 2.0, 3.0], velocity)
    np.testing.assert_array_equal((position, read), ([3.0, 1.0], [0.0, 0.0]))
