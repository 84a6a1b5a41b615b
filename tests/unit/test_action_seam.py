"""Seams on a fake clock: what is committed, how a chunk continues it, and what the delay is taken from."""

import numpy as np
import pytest

from smp_bringup.action.chunk_buffer import ChunkBuffer
from smp_bringup.action.seam import SEAMS, Seam
from smp_bringup.types import ActionChunk

MS = 1_000_000


def line(stamp_ms, offset=0.0):
    """Two joints that pass time [s] plus an offset, whichever chunk says it."""
    at = (stamp_ms + 40 * np.arange(16)) / 1e3
    return ActionChunk(stamp_ms * MS, 0.04, at[:, None] + offset * np.ones(2))


def jump(seam, delay_ms, first, second):
    """Return by how much the setpoint moves when the second chunk arrives, both sent through the seam."""
    buffer = ChunkBuffer(2)
    for chunk in (first, second):
        now = chunk.stamp_ns + delay_ms * MS
        sent = seam.join(chunk, seam.committed(chunk.stamp_ns))
        assert buffer.put(sent, now) is None
        seam.follows(sent.stamp_ns, now)
    return float(buffer.jump.max()), sent


@pytest.mark.parametrize("kind", ["inpaint", "prefix"])
@pytest.mark.parametrize("delay_ms", [0, 50, 100, 200, 300])
def test_a_conditioned_chunk_continues_what_is_committed_at_any_delay(kind, delay_ms):
    seam = Seam(kind, 2, 0.04, 0.01)
    moved, sent = jump(seam, delay_ms, line(0), line(200, offset=0.1))
    assert moved < 1e-3
    np.testing.assert_allclose(sent.position[-1], (200 + 600) / 1e3 + 0.1)  # the end is the policy's own


def test_what_the_policy_missed_is_taken_back_by_a_sixth_an_action():
    seam = Seam("inpaint", 2, 0.04, 0.01)
    _, sent = jump(seam, 100, line(0), line(200, offset=0.1))
    ahead = sent.position[:, 0] - line(200).position[:, 0]
    # 100 ms of delay and 10 ms of margin are three periods begun; with two knots more, five actions are committed.
    expected = [0.0] * 5 + [0.1 * k / 6 for k in range(1, 6)] + [0.1] * 6
    np.testing.assert_allclose(ahead, expected, atol=1e-12)


def test_latest_jumps_by_the_whole_difference_and_blend_by_half():
    assert jump(Seam("latest", 2, 0.04, 0.01), 100, line(0), line(200, offset=0.1))[0] == pytest.approx(0.1)
    assert jump(Seam("blend", 2, 0.04, 0.01), 100, line(0), line(200, offset=0.1))[0] == pytest.approx(0.05, abs=1e-3)


def constant(stamp_ms, value, steps=16):
    return ActionChunk(stamp_ms * MS, 0.04, np.full((steps, 2), value))


def test_blend_weighs_the_oldest_chunk_that_speaks_by_one_and_each_newer_one_by_a_hundredth_less():
    seam = Seam("blend", 2, 0.04, 0.01)
    first, second = (seam.join(constant(ms, value), None) for ms, value in ((0, 1.0), (200, 10.0)))
    third = seam.join(constant(400, 100.0), None)
    np.testing.assert_array_equal(first.position, 1.0)
    # exp(0) = 1, exp(-0.01) = 0.990050, exp(-0.02) = 0.980199
    both = (1 + 0.990050 * 10) / (1 + 0.990050)
    np.testing.assert_allclose(second.position[[0, 11]], both, rtol=1e-6)  # until 0.64 s, when the first chunk ends
    np.testing.assert_allclose(second.position[12:], 10.0)
    np.testing.assert_allclose(
        third.position[[0, 6]], (1 + 0.990050 * 10 + 0.980199 * 100) / (1 + 0.990050 + 0.980199), rtol=1e-6
    )
    np.testing.assert_allclose(third.position[[7, 11]], (10 + 0.990050 * 100) / (1 + 0.990050), rtol=1e-6)
    np.testing.assert_allclose(third.position[12:], 100.0)


def test_blend_forgets_what_the_command_node_let_go_of_and_what_is_of_a_later_time():
    seam = Seam("blend", 2, 0.04, 0.01)
    seam.join(constant(0, 1.0), None)
    seam.follows(None, 100 * MS)
    np.testing.assert_array_equal(seam.join(constant(200, 10.0), None).position, 10.0)
    np.testing.assert_array_equal(seam.join(constant(160, 5.0), None).position, 5.0)


@pytest.mark.parametrize(("delay_ms", "count"), [(0, 3), (30, 3), (31, 4), (70, 4), (71, 5)])
def test_the_delay_and_the_margin_are_committed_and_two_knots_more(delay_ms, count):
    seam = Seam("inpaint", 2, 0.04, 0.01)
    seam.join(line(0), None)
    seam.follows(0, delay_ms * MS)
    np.testing.assert_allclose(seam.committed(200 * MS), line(200).position[:count])


def test_no_more_is_committed_than_the_chunk_in_execution_lasts():
    seam = Seam("inpaint", 2, 0.04, 0.01)
    seam.join(constant(0, 1.0), None)
    assert len(seam.committed(600 * MS)) == 2  # its last action is that of 0.60 s and lasts until 0.64 s
    assert seam.committed(680 * MS) is None


@pytest.mark.parametrize("kind", ["latest", "blend"])
def test_a_seam_that_does_not_condition_the_policy_tells_it_nothing(kind):
    seam = Seam(kind, 2, 0.04, 0.01)
    seam.join(line(0), None)
    seam.follows(0, 50 * MS)
    assert seam.committed(200 * MS) is None


def test_what_another_source_is_followed_for_measures_no_delay():
    seam = Seam("inpaint", 2, 0.04, 0.01)
    seam.join(line(200), None)
    seam.follows(123 * MS, 300 * MS)
    assert seam.delay_s == 0


def test_the_delay_is_the_largest_recent_one():
    seam = Seam("inpaint", 2, 0.04, 0.01)
    delays = [50, 120, 60, 60, 60, 60, 60, 60, 60, 60, 60]
    for i, delay in enumerate(delays):
        seam.join(line(i * 200), None)
        seam.follows(i * 200 * MS, (i * 200 + delay) * MS)
        seam.follows(i * 200 * MS, (i * 200 + 199) * MS)  # said again: no new measurement
        assert seam.delay_s == pytest.approx(max(delays[max(0, i - 7) : i + 1]) / 1e3)


@pytest.mark.parametrize("kind", SEAMS)
def test_nothing_is_committed_before_the_first_chunk_and_after_the_command_node_let_go(kind):
    seam = Seam(kind, 2, 0.04, 0.01)
    assert seam.committed(0) is None
    seam.join(line(0), None)
    seam.follows(None, 100 * MS)
    assert seam.committed(200 * MS) is None


def test_a_chunk_of_an_earlier_epoch_commits_nothing_of_a_later_one():
    seam = Seam("inpaint", 2, 0.04, 0.01)
    seam.join(line(100_000), None)
    sent = seam.join(line(0), seam.committed(0))
    np.testing.assert_allclose(sent.position, line(0).position)
    assert seam.committed(200 * MS) is not None
    seam.follows(100_000 * MS, 100_000 * MS + 90 * MS)  # heard late: it is of the epoch before
    assert seam.delay_s == 0.0
