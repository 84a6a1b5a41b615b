"""Committed bags through the deployed pipeline; every number is known from make_bags.py."""

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smp_bringup.bag.aligned import aligned_sets, leader_trajectory
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.tree import bag_folders
from smp_bringup.errors import BagError, ConfigError, ModelError
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.replay.metrics import samples, summarise
from smp_bringup.replay.run import ReplaySettings, replay
from smp_bringup.robot import load_robot
from smp_bringup.types import ActionChunk, GateReport

HERE = Path(__file__).parent
BAG = HERE / "bags" / "two_seconds"
MS = 1_000_000

_spec = importlib.util.spec_from_file_location("make_bags", HERE / "make_bags.py")
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)


@pytest.fixture(scope="session")
def robot():
    return load_robot(str(HERE / "robot.yaml"))


@pytest.fixture(scope="module")
def sets(robot):
    return list(aligned_sets(open_bag(BAG), robot))


def test_the_committed_bag_is_what_its_script_makes(tmp_path):
    """Message by message; what travels beside them may change with the settings that ship."""
    make.two_seconds(tmp_path / "two_seconds")
    made, kept = open_bag(tmp_path / "two_seconds"), open_bag(BAG)
    assert (made.types, made.counts, made.episode) == (kept.types, kept.counts, kept.episode)
    assert list(made.raw_messages(set(made.types))) == list(kept.raw_messages(set(kept.types)))


def test_the_bag_says_what_it_is(robot):
    bag = open_bag(BAG)
    assert (bag.outcome, bag.episode["task"], bag.episode["text"]) == ("success", *["press both buttons"] * 2)
    assert bag.robot() == robot
    assert set(bag.attachments) == {"robot.yaml", "sync.yaml", "safety.yaml"}
    assert bag.verify().messages == 953


def test_every_complete_frame_is_paired_and_gaps_are_not_filled(sets):
    offsets = [(s.stamp_ns - make.T0) // MS for s in sets]
    assert set(range(5, 966, 40)) <= set(offsets)  # a set has the stamp of its newest frame: the left wrist's
    assert not [ms for ms in offsets if 1000 <= ms < 1200]
    assert set(range(1245, 1966, 40)) <= set(offsets)


def test_joints_are_interpolated_to_the_frame_within_a_microrad(sets, robot):
    for s in sets:
        expected = make.position(robot, (s.stamp_ns - make.T0) / MS)
        np.testing.assert_allclose(s.position, expected, atol=1e-6)


def test_images_of_a_set_are_of_one_instant_and_their_skew_is_told(sets):
    for s in sets:
        frames = {int(image[0, 0, 0]) for image in s.images.values()}
        assert len(frames) == 1
        assert s.skew_ns == {"overview": -5 * MS, "wrist_left": 0, "wrist_right": -8 * MS}


def test_the_leaders_are_read_as_they_were(robot):
    stamps, leader = leader_trajectory(open_bag(BAG), robot)
    assert len(stamps) == 201
    np.testing.assert_allclose(leader[100], make.position(robot, 1000 + make.LEAD_MS), atol=1e-12)


class _Oracle(AbstractPolicy):
    """Says what the leaders do, plus a known error on one arm."""

    def __init__(self, robot, error):
        from smp_bringup.policy.config import PolicyConfig

        self.robot, self.error = robot, error
        self.config = PolicyConfig("diffusion", ("overview",))

    def infer(self, observation, seed, prefix=None):
        start = (observation.stamp_ns - make.T0) / MS + make.LEAD_MS
        rows = np.array([make.position(self.robot, start + 40 * k) for k in range(16)])
        rows[:, self.robot.arm_slices["right"]] += self.error
        one = np.ones(1)
        gate = GateReport(observation.stamp_ns, one, one, (0,), 1.0, np.array([1]), {})
        return ActionChunk(observation.stamp_ns, 0.04, rows), gate


def test_the_error_of_each_arm_is_the_one_that_was_made(robot):
    result = replay(open_bag(BAG), _Oracle(robot, 0.01), robot, ReplaySettings(seam="latest"))
    assert len(result.chunks) == 12
    figures = summarise(samples(result, robot, 0.16))
    assert figures["joint_rmse/left"] == pytest.approx(0, abs=1e-9)
    assert figures["joint_rmse/right"] == pytest.approx(0.01, abs=1e-9)
    assert figures["gripper_rmse/right"] == pytest.approx(0.01, abs=1e-9)
    assert figures["joint_rmse/right_waist"] == pytest.approx(0.01, abs=1e-9)
    assert figures["joint_rmse/step_00"] == pytest.approx(0.01 / np.sqrt(2), abs=1e-9)


def test_the_safety_settings_are_the_robots_and_where_their_file_is_not_here_those_of_the_bag(robot):
    bag, oracle = open_bag(BAG), _Oracle(robot, 0.0)
    slow = replace(bag, attachments={**bag.attachments, "safety.yaml": "checks: [finite]\nvelocity_scale: 0.01\n"})
    usual = replay(bag, oracle, robot, ReplaySettings(safety="default")).digest
    assert replay(slow, oracle, robot, ReplaySettings()).digest == usual
    elsewhere = replace(robot, safety="/on/another/machine/safety.yaml")
    assert replay(slow, oracle, elsewhere, ReplaySettings()).digest != usual
    assert replay(slow, oracle, elsewhere, ReplaySettings(safety="default")).digest == usual
    broken = replace(bag, attachments={**bag.attachments, "safety.yaml": "checks: []\n"})
    with pytest.raises(ConfigError, match="name settings with --safety"):
        replay(broken, oracle, elsewhere)


class _Told(_Oracle):
    """An oracle that keeps how many actions it was told are committed."""

    def __init__(self, robot):
        super().__init__(robot, 0.0)
        self.told = []

    def infer(self, observation, seed, prefix=None):
        self.told.append(0 if prefix is None else len(prefix))
        return super().infer(observation, seed, prefix)


def test_the_policy_is_told_what_is_committed_for_as_long_as_its_chunks_take(robot):
    oracle = _Told(robot)
    replay(open_bag(BAG), oracle, robot, ReplaySettings(latency_s=0.2))
    # Nothing is committed, then nothing is followed yet (margin, two knots), then 200 ms and a cycle to the command.
    assert oracle.told[:3] == [0, 3, 8]


class _Spoiled(_Oracle):
    """An oracle some of whose chunks are not finite."""

    def __init__(self, robot, spoiled):
        super().__init__(robot, 0.0)
        self.spoiled, self.count = spoiled, 0

    def infer(self, observation, seed, prefix=None):
        chunk, gate = super().infer(observation, seed, prefix)
        if self.count in self.spoiled:
            chunk.position[3, 5] = np.nan
        self.count += 1
        return chunk, gate


def test_a_chunk_that_is_not_finite_is_not_sent_and_spoils_no_other(robot):
    result = replay(open_bag(BAG), _Spoiled(robot, {2}), robot)
    assert (len(result.chunks), len(result.gates), len(result.error)) == (11, 11, 11)
    assert all(np.isfinite(chunk.position).all() for chunk in result.chunks)
    assert result.setpoints.refused == 1
    assert [event.reason for event in result.setpoints.events if event.severity == "REFUSE"] == [
        "the policy gave a chunk or a gate that is not finite"
    ]


def test_a_policy_without_one_finite_chunk_is_refused(robot):
    with pytest.raises(ModelError, match=r"12 chunks, none of them sent: the policy gave a chunk .* not finite"):
        replay(open_bag(BAG), _Spoiled(robot, range(100)), robot)


@pytest.mark.parametrize("kind", ["smp", "diffusion"])
def test_replay_of_a_model_is_the_same_bit_for_bit(kind, checkpoints, robot):
    runs = [
        replay(open_bag(BAG), load_policy(checkpoints[kind][0], robot), robot, ReplaySettings(seed=4)) for _ in range(2)
    ]
    assert len(runs[0].chunks) >= 10
    np.testing.assert_array_equal(runs[0].error, runs[1].error)


def broken(tmp_path, change):
    """Return a copy of the bag with its MCAP bytes changed."""
    folder = shutil.copytree(BAG, tmp_path / "bag")
    file = folder / "two_seconds_0.mcap"
    file.write_bytes(change(file.read_bytes()))
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[: len(data) // 2], "was not closed"),
        (lambda data: b"not a bag" * 100, "is not an MCAP or SQLite3 bag"),
    ],
)
def test_a_bad_bag_is_refused_in_one_line(tmp_path, robot, change, message):
    folder = broken(tmp_path, change)
    with pytest.raises(BagError, match=message) as caught:
        list(aligned_sets(open_bag(folder), robot))
    assert "\n" not in str(caught.value)


def test_missing_topics_and_folders_are_named(tmp_path, robot):
    from dataclasses import replace

    cameras = (*robot.cameras, replace(robot.cameras[0], name="rear", topic="/camera_rear/image_raw"))
    with pytest.raises(BagError, match=r"missing topics: /camera_rear/image_raw .*; present: .*/camera_overview"):
        list(aligned_sets(open_bag(BAG), replace(robot, cameras=cameras)))
    with pytest.raises(BagError, match="does not exist"):
        open_bag(tmp_path / "nowhere")
    with pytest.raises(BagError, match="no bags below"):
        bag_folders(tmp_path)


def test_a_flipped_byte_is_refused_or_harmless_wherever_it_is(tmp_path, robot):
    """Never a quietly different result: every eightieth of the file in turn."""
    good = [(s.stamp_ns, s.position.tobytes()) for s in aligned_sets(open_bag(BAG), robot)]
    refused = 0
    for k in range(80):
        at = (BAG / "two_seconds_0.mcap").stat().st_size * k // 80

        def flip(data, at=at):
            return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]

        folder = broken(tmp_path / str(k), flip)
        try:
            assert [(s.stamp_ns, s.position.tobytes()) for s in aligned_sets(open_bag(folder), robot)] == good
        except BagError:
            refused += 1
    assert refused > 20
