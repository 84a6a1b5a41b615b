import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smp_bringup.action.chunk_buffer import ChunkBuffer
from smp_bringup.types import ActionChunk

MS = 1_000_000


def chunk(stamp_ms=0, steps=16, dof=2, value=None):
    rows = np.arange(steps)[:, None] * np.ones(dof) * 0.01 if value is None else value
    return ActionChunk(stamp_ms * MS, 0.04, rows)


@given(st.integers(0, 15))
def test_sampling_at_a_knot_returns_the_knot(k):
    buffer = ChunkBuffer(2)
    assert buffer.put(chunk(value=np.random.default_rng(k).normal(size=(16, 2))), 0) is None
    position, _ = buffer.sample(k * 40 * MS)
    np.testing.assert_allclose(position, buffer._chunk.position[k])


def test_a_straight_line_is_followed_with_its_slope():
    buffer = ChunkBuffer(2)
    buffer.put(chunk(), 0)
    for ms in range(0, 600, 7):
        position, velocity = buffer.sample(ms * MS)
        np.testing.assert_allclose(position, ms / 40 * 0.01)
        np.testing.assert_allclose(velocity, 0.25)


def test_between_knots_the_setpoint_is_a_cubic_with_central_difference_slopes():
    """By hand: of knots 0 0 1 1 the slopes are 0, 1/2, 1/2 and 0 a period."""
    buffer = ChunkBuffer(1)
    buffer.put(ActionChunk(0, 0.04, np.array([[0.0], [0.0], [1.0], [1.0]])), 0)
    # Half way from p to q with slopes m and n: (p + q) / 2 + (m - n) / 8, at the rate 1.5 (q - p) - (m + n) / 4.
    for ms, position, rate in ((20, -1 / 16, -1 / 8), (60, 1 / 2, 5 / 4), (100, 17 / 16, -1 / 8)):
        at, velocity = buffer.sample(ms * MS)
        assert at == pytest.approx(position)
        assert velocity == pytest.approx(rate / 0.04)


def test_a_chunk_of_the_same_observation_is_refused_and_one_whose_time_is_over():
    buffer = ChunkBuffer(2)
    assert buffer.put(chunk(), 639 * MS) is None
    assert buffer.put(chunk(), 639 * MS) == "older"
    assert ChunkBuffer(2).put(chunk(), 640 * MS) == "late"


def test_the_last_action_lasts_a_period_with_the_velocity_that_led_to_it():
    buffer = ChunkBuffer(2)
    buffer.put(chunk(), 0)
    before, after = buffer.sample(599 * MS), buffer.sample(620 * MS)
    np.testing.assert_allclose(after[0], 0.155)
    np.testing.assert_allclose(after[1], before[1])


def test_the_seam_is_what_a_new_chunk_moves_the_setpoint_by():
    buffer = ChunkBuffer(2)
    buffer.put(chunk(), 0)
    assert buffer.jump is None
    buffer.put(chunk(160), 200 * MS)
    np.testing.assert_allclose(buffer.jump, 0.04)
    buffer.put(chunk(2000), 2000 * MS)
    assert buffer.jump is None


def test_velocity_is_continuous_at_the_knots(rng):
    buffer = ChunkBuffer(2)
    buffer.put(chunk(value=rng.normal(size=(16, 2))), 0)
    for k in range(1, 15):
        before, after = buffer.sample(k * 40 * MS - 1), buffer.sample(k * 40 * MS + 1)
        np.testing.assert_allclose(before[1], after[1], atol=1e-3)


def test_outside_the_chunk_there_is_nothing():
    buffer = ChunkBuffer(2)
    assert buffer.sample(0) is None
    buffer.put(chunk(1000), 1000 * MS)
    assert buffer.sample(999 * MS) is None
    assert buffer.sample(1640 * MS) is not None
    assert buffer.sample(1641 * MS) is None
    assert buffer.ahead(999 * MS, np.array([0.1])) is None
    position, velocity = buffer.ahead(1600 * MS, np.array([0.0, 0.02, 4.0]))
    np.testing.assert_allclose(position, np.array([0.15, 0.155, 0.16])[:, None] * np.ones(2))
    np.testing.assert_allclose(velocity[:2], 0.25)
    np.testing.assert_allclose(velocity[2], 0)
    buffer.clear()
    assert buffer.sample(1000 * MS) is None
    assert buffer.ahead(1000 * MS, np.zeros(1)) is None


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (chunk(dof=1), "shape"),
        (chunk(steps=1), "shape"),
        (ActionChunk(0, 0.04, np.zeros(4)), "shape"),
        (chunk(value=np.full((16, 2), np.nan)), "nonfinite"),
        (ActionChunk(0, 0.0, np.zeros((16, 2))), "nonfinite"),
        (chunk(-10_000), "late"),
    ],
)
def test_bad_chunks_are_refused_and_the_old_one_goes_on(bad, cause):
    buffer = ChunkBuffer(2)
    buffer.put(chunk(-100), 0)
    refused = buffer.put(bad, 0)
    assert refused in (cause, "older")
    assert buffer.stamp_ns == -100 * MS
    assert ChunkBuffer(2).put(bad, 0) == cause


def test_another_chunk_of_the_same_observation_is_refused():
    buffer = ChunkBuffer(2)
    buffer.put(chunk(-100), 0)
    assert buffer.put(chunk(-100, value=np.ones((16, 2))), 0) == "older"
    np.testing.assert_allclose(buffer.sample(0)[0], 0.025)


@given(st.integers(0, 15), st.integers(0, 13))
def test_one_bad_number_anywhere_refuses_the_whole_chunk(k, joint):
    """F20."""
    rows = np.zeros((16, 14))
    rows[k, joint] = np.nan
    assert ChunkBuffer(14).put(ActionChunk(0, 0.04, rows), 0) == "nonfinite"
