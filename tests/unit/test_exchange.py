"""Datasets of LeRobot and bags of others, read back by readers that are not ours."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from rosbags.rosbag2 import StoragePlugin, Writer

from smp_bringup import config
from smp_bringup.bag.aligned import aligned_sets, leader_trajectory
from smp_bringup.bag.images import jpeg
from smp_bringup.bag.messages import COMPRESSED, IMAGE, JOINT_STATE, image_cdr, joint_state_cdr, typestore
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.writer import BagWriter
from smp_bringup.errors import BagError, ConfigError
from smp_bringup.exchange.foreign import Importer
from smp_bringup.exchange.from_lerobot import import_dataset
from smp_bringup.exchange.to_lerobot import Exported, export
from smp_bringup.mapping.document import load_mapping
from smp_bringup.paths import named_config
from smp_bringup.robot import load_robot

T0 = 1_700_000_000_123_456_789
FRAMES = 12


def image_of(camera, k):
    """Return a picture that no codec guesses."""
    return np.random.default_rng(1000 * k + len(camera.name)).integers(
        0, 256, (camera.height, camera.width, 3), np.uint8
    )


def joints_of(robot, k):
    return robot.joint_array("home") + 1e-3 * k * np.arange(1, robot.dof + 1)


@pytest.fixture(scope="module")
def bags(tmp_path_factory, robot):
    """Two episodes of two tasks, one a success."""
    root = tmp_path_factory.mktemp("bags")
    for task, success in (("lift_tray", True), ("fold the towel", None)):
        writer = BagWriter(root / task.replace(" ", "_"), robot, task)
        for k in range(FRAMES):
            at = T0 + k * 40_000_000
            for arm in robot.arms:
                part, names = robot.arm_slices[arm.name], tuple(j.name for j in arm.joints)
                for topic, lead in ((arm.state_topic, 0), (arm.leader_topic, 2)):
                    writer.write(topic, JOINT_STATE, at, joint_state_cdr(at, names, joints_of(robot, k + lead)[part]))
            for camera in robot.cameras:
                writer.write(camera.topic, IMAGE, at, image_cdr(at, camera.name, image_of(camera, k)))
        writer.close(success)
    return root


@pytest.fixture(scope="module")
def dataset(bags, tmp_path_factory):
    out = tmp_path_factory.mktemp("dataset") / "set"
    assert export([bags / "lift_tray", bags / "fold_the_towel"], out) == Exported(2, 2 * FRAMES, ())
    return out


def test_every_value_of_the_tables_is_the_one_in_the_bags(dataset, robot):
    for episode in range(2):
        table = pq.read_table(dataset / f"data/chunk-000/file-{episode:03d}.parquet").to_pydict()
        states = np.array([joints_of(robot, k) for k in range(FRAMES)]).astype(np.float32)
        leaders = np.array([joints_of(robot, min(k + 2, FRAMES + 1)) for k in range(FRAMES)]).astype(np.float32)
        np.testing.assert_array_equal(np.array(table["observation.state"], np.float32), states)
        np.testing.assert_allclose(np.array(table["action"], np.float32), leaders, rtol=0, atol=1e-7)
        assert table["stamp_ns"] == [T0 + k * 40_000_000 for k in range(FRAMES)]
        assert table["index"] == list(range(episode * FRAMES, (episode + 1) * FRAMES))
        assert table["frame_index"] == list(range(FRAMES))
        assert table["episode_index"] == [episode] * FRAMES
        assert table["task_index"] == [episode] * FRAMES
        np.testing.assert_allclose(table["timestamp"], np.arange(FRAMES) / 25, atol=1e-6)


def test_every_pixel_of_the_videos_is_the_one_in_the_bags(dataset, robot):
    for camera in robot.cameras:
        path = dataset / f"videos/observation.images.{camera.name}/chunk-000/file-001.mp4"
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == FRAMES
        for k, frame in enumerate(frames):
            np.testing.assert_array_equal(frame, image_of(camera, k))


def test_the_metadata_says_where_everything_is(dataset, robot):
    info = json.loads((dataset / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_frames"]) == ("v3.0", 25, 2 * FRAMES)
    assert info["features"]["action"]["names"] == list(robot.joint_names)
    tasks = pq.read_table(dataset / "meta/tasks.parquet").to_pydict()
    assert tasks["task"] == ["lift the tray with both hands and keep the block on it", "fold the towel"]
    rows = pq.read_table(dataset / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(r["dataset_from_index"], r["dataset_to_index"], r["length"]) for r in rows] == [
        (0, FRAMES, FRAMES),
        (FRAMES, 2 * FRAMES, FRAMES),
    ]
    for row in rows:
        for key in ("data", *(f"videos/observation.images.{c.name}" for c in robot.cameras)):
            place = {"chunk_index": row[f"{key}/chunk_index"], "file_index": row[f"{key}/file_index"]}
            pattern = info["data_path"] if key == "data" else info["video_path"]
            assert (dataset / pattern.format(**place, video_key=key.removeprefix("videos/"))).is_file()
    states = np.array([joints_of(robot, k) for k in range(FRAMES)], np.float32)
    stats = json.loads((dataset / "meta/stats.json").read_text())["observation.state"]
    np.testing.assert_allclose(stats["mean"], states.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(stats["std"], states.std(axis=0), atol=1e-6)
    assert stats["count"] == [2 * FRAMES]


def test_a_dataset_comes_back_as_the_bags_it_was_made_from(dataset, robot, bags, tmp_path):
    folders = import_dataset(dataset, tmp_path).folders
    assert [f.parent.name for f in folders] == ["lift_tray", "fold_the_towel"]
    for folder, source, outcome in zip(
        folders, ("lift_tray", "fold_the_towel"), ("success", "unlabelled"), strict=True
    ):
        back, there = open_bag(folder), open_bag(bags / source)
        assert (back.outcome, back.robot()) == (outcome, robot)
        ours, theirs = (list(aligned_sets(bag, robot)) for bag in (back, there))
        assert len(ours) == FRAMES
        for a, b in zip(ours, theirs, strict=True):
            assert a.stamp_ns == b.stamp_ns
            np.testing.assert_allclose(a.position, b.position, atol=1e-6)
            for camera in robot.cameras:
                np.testing.assert_array_equal(a.images[camera.name], b.images[camera.name])
        np.testing.assert_allclose(leader_trajectory(back, robot)[1], leader_trajectory(there, robot)[1], atol=1e-6)


def test_a_dataset_of_a_robot_that_is_named_becomes_bags_of_that_robot(dataset, robot, tmp_path):
    mine = replace(robot, name="mine")
    assert all(open_bag(folder).robot() == mine for folder in import_dataset(dataset, tmp_path, mine).folders)


def test_what_does_not_fit_is_named(dataset, bags, tmp_path):
    with pytest.raises(BagError, match="exists already"):
        export([bags / "lift_tray"], dataset)
    with pytest.raises(BagError, match=r"is it a LeRobotDataset v3\.0"):
        import_dataset(bags, tmp_path)
    robot_yaml = tmp_path / "other.yaml"
    robot_yaml.write_text(named_config("robots", "aloha").read_text().replace("name: overview", "name: front"))
    with pytest.raises(BagError, match=r"lacks observation\.images\.front; it has observation\.state"):
        import_dataset(dataset, tmp_path, load_robot(str(robot_yaml)))


@pytest.fixture
def foreign(tmp_path, robot):
    """A bag of somebody else: sqlite3, one topic for both arms, other joint names, a JPEG camera."""
    store = typestore()
    topics = {
        "/joint_states": JOINT_STATE,
        "/cmd": "std_msgs/msg/Float64MultiArray",
        "/top": IMAGE,
        "/wrist": COMPRESSED,
    }
    arms = [tuple(f"x_{j.name}" for j in arm.joints) for arm in robot.arms]
    with Writer(tmp_path / "theirs", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        links = {t: writer.add_connection(t, kind, typestore=store) for t, kind in topics.items()}
        for k in range(FRAMES):
            at = T0 + k * 40_000_000
            names = sum(reversed(arms), ())
            both = np.concatenate([joints_of(robot, k)[robot.arm_slices[a.name]] for a in reversed(robot.arms)])
            writer.write(links["/joint_states"], at, joint_state_cdr(at, names, both))
            kind = store.types["std_msgs/msg/Float64MultiArray"]
            layout = store.types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
            part = robot.arm_slices[robot.arms[0].name]
            message = kind(layout=layout, data=joints_of(robot, k + 2)[part])
            writer.write(links["/cmd"], at, store.serialize_cdr(message, topics["/cmd"]))
            writer.write(links["/top"], at, image_cdr(at, "top", image_of(robot.cameras[0], k)))
            header = store.deserialize_cdr(joint_state_cdr(at, ("a",), np.zeros(1)), JOINT_STATE).header
            packed = np.frombuffer(jpeg(image_of(robot.cameras[1], k), 95), np.uint8)
            message = store.types[COMPRESSED](header=header, format="jpeg", data=packed)
            writer.write(links["/wrist"], at, store.serialize_cdr(message, COMPRESSED))
    first, second = robot.arms
    mapping = {
        "robot": "aloha",
        "task": "stack cups",
        "arms": {
            first.name: {"state": "/joint_states", "leader": "/cmd"},
            second.name: {"state": "/joint_states", "leader": "/joint_states"},
        },
        "cameras": {"overview": "/top", "wrist_left": "/wrist", "wrist_right": "/wrist2"},
    }
    for arm in robot.arms:
        mapping["arms"][arm.name]["joints"] = {j.name: f"x_{j.name}" for j in arm.joints}
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump(mapping))
    return tmp_path / "theirs", path, mapping


def test_a_foreign_bag_is_read_through_a_mapping(foreign, robot, tmp_path):
    path, file, mapping = foreign
    with pytest.raises(BagError, match=r"missing topics: /wrist2 \(sensor_msgs/msg/Image\)"):
        Importer(path, load_mapping(str(file)))
    two = Path(tmp_path / "two.yaml")
    two.write_text(
        named_config("robots", "aloha").read_text().replace("  - {name: wrist_right", "  # {name: wrist_right")
    )
    mapping["cameras"].pop("wrist_right")
    file.write_text(yaml.safe_dump({**mapping, "robot": str(two)}))
    importer = Importer(path, load_mapping(str(file)))
    bag = open_bag(importer.write(tmp_path / "ours"))
    assert bag.robot() == load_robot(str(two))
    assert (importer.reasons(), bag.episode["text"], bag.episode["imported"]) == ([], "stack cups", "theirs")
    sets = list(aligned_sets(bag, bag.robot()))
    assert len(sets) == FRAMES
    for k, s in enumerate(sets):
        np.testing.assert_allclose(s.position, joints_of(robot, k), atol=1e-12)
        np.testing.assert_array_equal(s.images["overview"], image_of(robot.cameras[0], k))
        assert s.images["wrist_left"].shape == (128, 128, 3)
    _, leader = leader_trajectory(bag, bag.robot())
    first = robot.arm_slices[robot.arms[0].name]
    np.testing.assert_allclose(leader[3][first], joints_of(robot, 5)[first], atol=1e-12)


def test_a_mapping_says_units_and_degrees_are_not_taken_for_radians(foreign, robot, tmp_path):
    path, file, mapping = foreign
    one = config.dump(replace(robot, cameras=robot.cameras[:1]))
    (tmp_path / "one.yaml").write_text(one)
    mapping |= {"robot": str(tmp_path / "one.yaml"), "cameras": {"overview": "/top"}}
    first = robot.arms[0]
    elbow = first.joints[2].name
    names = mapping["arms"][first.name]["joints"]
    for unit, scale, error in (("", 60, "looks like degrees"), ("deg", 60 * 180 / np.pi, ""), ("deg", 1e-3, "")):
        names[elbow] = {"name": f"x_{elbow}", "sign": -1, "scale": scale, "offset": 0.25, "unit": unit}
        file.write_text(yaml.safe_dump(mapping))
        importer, out = Importer(path, load_mapping(str(file))), tmp_path / f"out{unit}{scale:.0f}"
        if error:
            with pytest.raises(ConfigError, match=f"/joint_states: {elbow} .*{error}"):
                importer.write(out)
            assert not list(tmp_path.glob(f"{out.name}*"))
            continue
        bag = open_bag(importer.write(out))
        assert bag.episode["commands"] == "none"
        ours = [s.position[2] for s in aligned_sets(bag, bag.robot())]
        theirs = np.array([joints_of(robot, k)[2] for k in range(FRAMES)])
        np.testing.assert_allclose(ours, 0.25 - scale * np.pi / 180 * theirs, atol=1e-9)
        assert (elbow in importer.outside[0]) == (elbow in bag.episode["outside"]) == (scale > 1)


def test_one_joint_of_theirs_is_one_of_ours(foreign):
    path, file, mapping = foreign
    joints = next(iter(mapping["arms"].values()))["joints"]
    joints["left_elbow"] = joints["left_waist"]
    file.write_text(yaml.safe_dump(mapping))
    with pytest.raises(ConfigError, match="'x_left_waist' would be two joints"):
        Importer(path, load_mapping(str(file)))


def test_a_mapping_names_what_the_robot_has(foreign, tmp_path):
    path, file, mapping = foreign
    mapping["cameras"]["wrist_rigth"] = mapping["cameras"].pop("wrist_right")
    file.write_text(yaml.safe_dump(mapping))
    with pytest.raises(ConfigError, match=r"no camera 'wrist_rigth' \(did you mean 'wrist_right'\?\)"):
        Importer(path, load_mapping(str(file)))


def rewritten(folder, robot, bags, **notes):
    """Write the first bag again with another robot file."""
    bag, writer = open_bag(bags / "lift_tray"), BagWriter(folder, robot, "lift_tray")
    for topic, at, cdr in bag.raw_messages(set(bag.types)):
        writer.write(topic, bag.types[topic], at, cdr)
    return writer.close(True, notes)


def test_what_a_dataset_cannot_hold_is_said(bags, robot, tmp_path):
    def film(**changes):
        return replace(robot, cameras=tuple(replace(c, **changes) for c in robot.cameras))

    done = export([rewritten(tmp_path / "half", film(rate_hz=12.5), bags)], tmp_path / "a")
    assert "gives 12.5 frames a second, the dataset says 12" in done.said[0]
    done = export([rewritten(tmp_path / "late", film(latency_s=0.16), bags)], tmp_path / "b")
    assert f"{done.frames} of {FRAMES} frames of overview are exported" in done.said[0]
    assert 0 < done.frames < FRAMES
    done = export([rewritten(tmp_path / "bad", robot, bags, quality="reject", reasons="a\x1b[2Jgap")], tmp_path / "c")
    assert "was rejected by its recorder and is exported all the same: a\\x1b[2Jgap" in done.said[0]
    with pytest.raises(BagError, match=r"gives 0\.4 frames a second, a LeRobotDataset holds whole numbers from 1 on"):
        export([rewritten(tmp_path / "slow", film(rate_hz=0.4), bags)], tmp_path / "d")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("name", ["meta/info.json", "data/chunk-000/file-000.parquet"])
def test_a_pipe_in_a_dataset_is_refused_not_waited_for(name, dataset, tmp_path):
    copy = tmp_path / "set"
    shutil.copytree(dataset, copy)
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(BagError):
        import_dataset(copy, tmp_path / "back")


def test_an_array_without_names_is_one_arm(foreign):
    path, file, mapping = foreign
    for arm in mapping["arms"].values():
        arm["leader"] = "/cmd"
    file.write_text(yaml.safe_dump(mapping))
    with pytest.raises(ConfigError, match=r"/cmd is an array without names, which cannot be the joints of arm 'left'"):
        Importer(path, load_mapping(str(file)))
