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


def test_what_the_policy_missed_fades_in_order():
    seam = Seam("inpaint", 2, 0.04, 0.01)
    _, sent = jump(seam, 100, line(0), line(200, offset=0.1))
    left = sent.position[:, 0] - line(200).position[:, 0]
    assert left[0] == pytest.approx(0)
    assert (np.diff(left) >= -1e-12).all()
    assert np.diff(left).max() < 0.03


def test_latest_jumps_by_the_whole_difference_and_blend_by_half():
    assert jump(Seam("latest", 2, 0.04, 0.01), 100, line(0), line(200, offset=0.1))[0] == pytest.approx(0.1)
    assert jump(Seam("blend", 2, 0.04, 0.01), 100, line(0), line(200, offset=0.1))[0] == pytest.approx(0.05, abs=1e-3)


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
