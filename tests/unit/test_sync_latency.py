"""Latencies of cameras from a swing: what was injected in the simulator comes back, and doubt is said."""

import numpy as np
import pytest

from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import BagError, ConfigError
from smp_bringup.paths import named_config
from smp_bringup.replay.latency import camera_latencies, with_latencies, write_robot
from smp_bringup.robot import load_robot
from smp_bringup.sim.wiggle import record_wiggle
from smp_bringup.sim.world import World
from smp_bringup.sync.latency import estimate
from smp_bringup.tasks import TASKS


@pytest.fixture(scope="module")
def world(robot):
    made = World(TASKS["lift_tray"](), robot)
    yield made
    made.close()


@pytest.mark.parametrize("delay_ms", [0, 40, 80, 150])
def test_an_injected_delay_is_recovered_within_5_ms_for_every_camera(delay_ms, world, robot, tmp_path):
    record_wiggle(world, robot, tmp_path / "bag", delay_ms / 1e3, 8.0, 1)
    for found in camera_latencies(open_bag(tmp_path / "bag"), robot).values():
        assert abs(1e3 * found.latency_s - delay_ms) <= 5
        assert not found.doubt
        assert found.error_s < 0.005


def swing(rng, noise, still=False):
    at = np.arange(0, 12_000, 10) / 1e3
    pose = 0.25 * np.sin(2 * np.pi * 0.7 * at) * (not still)
    frames = np.arange(500, 11_500, 40) / 1e3
    seen = np.abs(np.diff(np.interp(frames - 0.06, at, pose)))
    motion = seen + noise * rng.random(len(seen))
    return (frames * 1e9).astype(np.int64), motion, (at * 1e9).astype(np.int64), [pose[:, None]]


def test_a_latency_buried_in_noise_is_doubted(rng):
    assert not estimate(*swing(rng, 0.0)).doubt
    assert "explain only" in estimate(*swing(rng, 1.0)).doubt


def test_a_recording_without_motion_or_with_few_frames_is_refused(rng):
    with pytest.raises(BagError, match="no joint moved"):
        estimate(*swing(rng, 0.1, still=True))
    frames, motion, at, arms = swing(rng, 0.0)
    with pytest.raises(BagError, match="20 frames, at least 60"):
        estimate(frames[:20], motion[:19], at, arms)


def test_the_robot_file_keeps_everything_but_the_latencies(robot, tmp_path):
    source = named_config("robots", "aloha")
    write_robot(source, tmp_path / "mine.yaml", {"overview": 0.0824, "wrist_left": 0.04})
    write_robot(tmp_path / "mine.yaml", tmp_path / "again.yaml", {"overview": 0.1})
    again = load_robot(str(tmp_path / "again.yaml"))
    assert [camera.latency_s for camera in again.cameras] == [0.1, 0.04, 0.0]  # to the millisecond
    assert again.arms == robot.arms
    kept = [line for line in (tmp_path / "again.yaml").read_text().splitlines() if "camera" not in line]
    assert kept == [line for line in source.read_text().splitlines() if "camera" not in line]
    with pytest.raises(ConfigError, match="no line names camera 'rear'"):
        with_latencies(source.read_text(), {"rear": 0.1}, "aloha.yaml")
