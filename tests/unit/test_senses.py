"""Depth and vectors from bags to a policy and out again: checked, trained on, agreed upon, replayed, exported."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from smp_bringup import config
from smp_bringup.bag.aligned import aligned_sets
from smp_bringup.bag.messages import IMAGE, JOINT_STATE, header, image_cdr, joint_state_cdr, typestore
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.writer import BagWriter
from smp_bringup.camera import Depth
from smp_bringup.errors import ConfigError, ModelError
from smp_bringup.exchange.from_lerobot import import_dataset
from smp_bringup.exchange.to_lerobot import export
from smp_bringup.observation.observer import Observer
from smp_bringup.policy import POLICIES
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.policy.config import DenoiserConfig, EncoderConfig, PolicyConfig
from smp_bringup.policy.engine_torch import TorchEngine
from smp_bringup.policy.trial import blank
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import load_recording
from smp_bringup.replay.run import replay
from smp_bringup.robot import Robot
from smp_bringup.training.config import RunConfig, TrainingConfig
from smp_bringup.training.dataset import load_dataset
from smp_bringup.training.job import Training, TrainingJob
from smp_bringup.training.save import save_checkpoint
from smp_bringup.training.trainer import Trainer
from smp_bringup.vector import Vector

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
LENGTH_MS = 1200
WRENCH, ARRAY = "geometry_msgs/msg/WrenchStamped", "std_msgs/msg/Float64MultiArray"
FORCE = Vector("wrench", "/wrench", WRENCH, ("wrench.force.x", "wrench.force.z"), scale=0.1)
TOUCH = Vector("touch", "/touch", ARRAY, ("data",), size=3)
SIZE = {"width": 16, "height": 12, "observation_width": 16, "observation_height": 12}
DEPTH = {"name": "front", "topic": "/front/depth", "rate_hz": 25, **SIZE, "depth": {"min": 0.2, "max": 2.0}}
SMALL = PolicyConfig(
    "diffusion",
    ("overview",),
    horizon=4,
    foresight_s=(),
    noise=0.0,
    denoiser=DenoiserConfig(width=64, depth=1),
    encoder=EncoderConfig(channels=(4,), keypoints=2, feature=32),
)
ALL = replace(SMALL, depth=("front",), vectors=("wrench", "touch"))
GAIN = 0.06
"""Of the leader's first joint [rad/N]."""


@pytest.fixture(scope="module")
def seeing(robot):
    """The shipped arms with one camera in colour, one of depth, and two vectors."""
    plain = config.plain(robot)
    data = {**plain, "simulation": "", "model": "", "vectors": [config.plain(v) for v in (FORCE, TOUCH)]}
    return config.build(Robot, {**data, "cameras": [{**plain["cameras"][0], **SIZE}, DEPTH]}, "robot.yaml")


def wrench_cdr(at, force):
    types = typestore().types
    vector = types["geometry_msgs/msg/Vector3"]
    wrench = types["geometry_msgs/msg/Wrench"](vector(x=force, y=0.0, z=-force), vector(x=0.0, y=0.0, z=0.0))
    return bytes(typestore().serialize_cdr(types[WRENCH](header=header(at, "tool"), wrench=wrench), WRENCH))


def touch_cdr(values):
    types = typestore().types
    layout = types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
    return bytes(typestore().serialize_cdr(types[ARRAY](layout=layout, data=np.array(values, np.float64)), ARRAY))


def write(folder, robot, force=1.0, moving=0.0, change=lambda topic, ms, kind, cdr: (kind, cdr)):
    """Write an episode in which the leader's first joint says the force, and a driver's message may be changed."""
    home, events = np.array(robot.joint_array("home")), []
    rng = np.random.default_rng(0)
    for ms in range(0, LENGTH_MS, 10):
        for arm in robot.arms:
            names, part = arm.driver.names, robot.arm_slices[arm.name]
            wave = moving * np.sin(ms / 150) * robot.turning
            lead = home + wave
            lead[0] += GAIN * force
            events.append((ms, arm.state_topic, JOINT_STATE, joint_state_cdr(T0 + ms * MS, names, (home + wave)[part])))
            events.append((ms, arm.leader_topic, JOINT_STATE, joint_state_cdr(T0 + ms * MS, names, lead[part])))
    for ms in range(0, LENGTH_MS, 40):
        colour = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
        depth = rng.integers(0, 3000, (12, 16, 1)).astype(np.uint16)
        events.append((ms, robot.cameras[0].topic, IMAGE, image_cdr(T0 + ms * MS, "overview", colour)))
        events.append((ms, "/front/depth", IMAGE, image_cdr(T0 + ms * MS, "front", depth)))
    for ms in range(0, LENGTH_MS, 5):
        events.append((ms, "/wrench", WRENCH, wrench_cdr(T0 + ms * MS, force)))
        events.append((ms, "/touch", ARRAY, touch_cdr([ms, 0.0, force])))
    writer = BagWriter(folder, robot, "press")
    for ms, topic, kind, cdr in sorted(events, key=lambda event: event[0]):
        if changed := change(topic, ms, kind, cdr):
            writer.write(topic, changed[0], T0 + ms * MS, changed[1])
    return writer.close(True)


def trained(policy, bags, robot, out, **settings):
    """Return what a short training ends with."""
    data = load_dataset(bags, robot, policy, out / "cache")
    run = RunConfig(policy, TrainingConfig(**{"pairs": 8, "warmup_steps": 2, "state_noise": 0.0} | settings))
    return Trainer(run, data, robot, 0, out / "run").train(lambda *_: None)


@pytest.fixture(scope="module")
def checkpoint(seeing, tmp_path_factory):
    """A policy that sees all, trained for a moment, and the bag it was trained on."""
    out = tmp_path_factory.mktemp("senses")
    bag = write(out / "bag", seeing)
    save_checkpoint(trained(ALL, [bag], seeing, out, steps=3), seeing, out / "model", "# a moment\n")
    return out / "model", bag


def test_training_sees_what_the_robot_would(seeing, tmp_path):
    bag = write(tmp_path / "bag", seeing, force=3.0)
    data = load_dataset([bag], seeing, ALL, tmp_path / "cache")
    observer, live = Observer(seeing, 1, 1e-9), []
    for aligned in aligned_sets(open_bag(bag), seeing):
        live.append(observer.push(aligned))
    assert [seen.stamp_ns for seen in live] == data.stamps.tolist()
    assert len(live) > 20
    for k, seen in enumerate(live):
        np.testing.assert_array_equal(data.images["front"][k], seen.images["front"][0])
        for name in ("wrench", "touch"):
            np.testing.assert_array_equal(data.vectors[name][k], seen.vectors[name][0])
    np.testing.assert_allclose(data.vectors["wrench"], np.tile([0.3, -0.3], (len(live), 1)))
    assert data.vectors["touch"][1].tolist() == [(data.stamps[1] - T0) / MS, 0.0, 3.0]
    assert data.images["front"].dtype == np.uint16
    assert 0 < (data.images["front"][np.arange(len(data.stamps))] == 0).mean() < 0.7, "out of range is not measured"
    again = load_dataset([bag], seeing, ALL, tmp_path / "cache")
    np.testing.assert_array_equal(again.vectors["touch"], data.vectors["touch"])


def test_a_checkpoint_runs_over_a_bag_and_hears_every_sense(checkpoint, seeing):
    folder, bag = checkpoint
    policy = load_policy(folder, seeing)
    result = replay(open_bag(bag), policy, seeing)
    assert len(result.chunks) > 3
    assert result.digest == replay(open_bag(bag), policy, seeing).digest
    still = blank(seeing, 1)
    first = policy.infer(still, 0)[0].position
    for name in ("wrench", "touch"):
        felt = replace(still, vectors={**still.vectors, name: np.full_like(still.vectors[name], 5.0)})
        assert np.abs(policy.infer(felt, 0)[0].position - first).max() > 1e-6, name
    near = np.zeros((1, 12, 16, 1), np.uint16)
    near[:, 3:9, 2:7] = 700
    seen = policy.infer(replace(still, images={**still.images, "front": near}), 0)[0].position
    assert np.abs(seen - first).max() > 1e-6


def without(robot, **changes):
    return config.build(Robot, {**config.plain(robot), **changes}, "robot.yaml")


def test_a_policy_and_a_robot_that_do_not_agree_are_told_apart(checkpoint, seeing, robot, tmp_path):
    folder, _ = checkpoint
    front = seeing.cameras[1]
    far = replace(seeing, cameras=(seeing.cameras[0], replace(front, depth=Depth(0.2, 4.0))))
    colour = replace(seeing, cameras=(seeing.cameras[0], replace(front, depth=None)))
    torque = replace(seeing, vectors=(replace(FORCE, fields=("wrench.force.x", "wrench.torque.z")), TOUCH))
    for other, why in (
        (without(seeing, vectors=[]), "the model sees vector 'wrench', robot 'aloha' has no vector"),
        (replace(seeing, vectors=(FORCE,)), "the model sees vector 'touch', robot 'aloha' has wrench"),
        (
            replace(seeing, cameras=seeing.cameras[:1]),
            "the model sees depth camera 'front', robot 'aloha' has no depth",
        ),
        (colour, "the model sees depth camera 'front', robot 'aloha' has no depth camera"),
        (torque, "has vectors {.*'wrench.torque.z'.*, model expects {.*'wrench.force.z'"),
        (far, r"has depth {'front': \[0.2, 4.0\]}, model expects {'front': \[0.2, 2.0\]}"),
    ):
        with pytest.raises(ModelError, match=why):
            load_policy(folder, other)
    blind = trained(SMALL, [write(tmp_path / "bag", seeing)], seeing, tmp_path, steps=1)
    save_checkpoint(blind, seeing, tmp_path / "blind", "# sees no more than it names\n")
    assert json.loads((tmp_path / "blind/normalizer.json").read_text()).keys() == {"center", "half_range"}
    for same in (seeing, without(seeing, vectors=[])):
        load_policy(tmp_path / "blind", same).infer(blank(same, 1), 0)
    with pytest.raises(ModelError, match="has no depth camera"):
        load_policy(folder, robot)


def test_a_run_that_asks_for_what_the_bags_do_not_have_is_refused_before_it_begins(seeing, tmp_path):
    write(tmp_path / "bags" / "bag", without(seeing, vectors=[]))
    run = tmp_path / "run.yaml"
    run.write_text("policy: {kind: diffusion, cameras: [overview], vectors: [wrench]}\n")
    with pytest.raises(ConfigError, match="the policy sees vector 'wrench', robot 'aloha' has no vector"):
        Training(TrainingJob(tmp_path / "bags", str(run)))
    run.write_text("policy: {kind: diffusion, cameras: [front]}\n")
    with pytest.raises(ConfigError, match="the policy sees camera 'front', robot 'aloha' has overview"):
        Training(TrainingJob(tmp_path / "bags", str(run)))
    with pytest.raises(ConfigError, match="no cameras and no vectors"):
        PolicyConfig("diffusion", track="state", vectors=("wrench",))


def test_bags_of_robots_with_other_vectors_are_not_mixed(seeing, tmp_path):
    bags = [write(tmp_path / "a", seeing), write(tmp_path / "b", without(seeing, vectors=[config.plain(TOUCH)]))]
    data = load_dataset(bags, seeing, ALL, tmp_path / "cache")
    assert len(data.starts) == 2
    assert "nothing instead of vector wrench (wrench.force.x, wrench.force.z)" in data.skipped[0]


def test_a_policy_learns_what_only_the_force_tells_and_not_without_it(seeing, tmp_path):
    """The images are noise, the arms stand still: nothing else says where the leader's first joint was."""
    bags = [write(tmp_path / f"bag{k}", seeing, force) for k, force in enumerate(np.linspace(-5, 5, 8))]
    error = {}
    for vectors in ((), ("wrench",)):
        policy = replace(SMALL, vectors=vectors)
        out = tmp_path / f"seen{len(vectors)}"
        done = trained(policy, bags, seeing, out, steps=400, learning_rate=3e-3)
        deployed = POLICIES["diffusion"].deploy(policy, TorchEngine(done.network), done.normalizer, 0.04)
        noise = np.random.default_rng(1).integers(0, 256, (1, 12, 16, 3)).astype(np.uint8)
        still, misses = replace(blank(seeing, 1), images={"overview": noise}), []
        for force in (-4.2, -1.5, 2.0, 3.5):
            felt = replace(still, vectors={**still.vectors, "wrench": np.array([[0.1 * force, -0.1 * force]])})
            said = deployed.infer(felt, 0)[0].position[:, 0]
            misses.append(np.abs(said - seeing.joint_array("home")[0] - GAIN * force).mean())
        error[vectors] = float(np.mean(misses))
    assert error["wrench",] < 0.04, error
    assert error[()] > 0.1, error


def reasons(bag, robot):
    return judge_bag(open_bag(bag), robot, load_recording("default").quality).notes()["reasons"]


def test_a_check_judges_depth_and_vectors_as_everything_else(seeing, tmp_path):
    def about(text):
        return [part for part in text.split("; ") if any(topic in part for topic in ("/wrench", "/touch", "/depth"))]

    assert about(reasons(write(tmp_path / "good", seeing, moving=0.3), seeing)) == []

    def spoil(topic, ms, kind, cdr):
        if topic == "/wrench" and 300 <= ms < 700:
            return None
        if topic == "/touch" and ms % 100 == 0:
            return kind, touch_cdr([1.0, 2.0])
        if topic == "/front/depth" and ms % 400 == 0:
            return kind, image_cdr(T0 + ms * MS, "front", np.zeros((12, 16, 3), np.uint8))
        return kind, cdr

    found = about(reasons(write(tmp_path / "bad", seeing, moving=0.3, change=spoil), seeing))
    for said in (
        "reject gap: /wrench: silent for 405 ms",
        "reject refused: /touch: 12 messages refused (2 numbers in data, the robot file says 3)",
        "reject refused: /front/depth: 3 messages refused (encoding 'rgb8', expected depth as one of 16UC1, 32FC1)",
    ):
        assert any(said in text for text in found), (said, found)
    silent = write(tmp_path / "silent", seeing, change=lambda topic, ms, *said: None if topic == "/touch" else said)
    assert "reject missing: /touch: no message" in reasons(silent, seeing)


def test_a_dataset_has_the_vectors_and_says_that_it_has_no_depth(seeing, tmp_path):
    done = export([write(tmp_path / "bag", seeing, force=2.0)], tmp_path / "set")
    assert [text for text in done.said if "depth of front is not exported" in text]
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    names = {key: info["features"][f"observation.vectors.{key}"] for key in ("wrench", "touch")}
    assert names["wrench"] == {"dtype": "float32", "shape": [2], "names": ["wrench.force.x", "wrench.force.z"]}
    assert names["touch"]["names"] == ["data[0]", "data[1]", "data[2]"]
    assert "observation.images.front" not in info["features"]
    table = pq.read_table(tmp_path / "set/data/chunk-000/file-000.parquet").to_pydict()
    np.testing.assert_allclose(table["observation.vectors.wrench"], np.tile([0.2, -0.2], (done.frames, 1)), rtol=1e-6)
    assert {row[2] for row in table["observation.vectors.touch"]} == {2.0}
    with pytest.raises(ConfigError, match=r"has vectors \(wrench, touch\), which no import fills"):
        import_dataset(tmp_path / "set", tmp_path / "back")
