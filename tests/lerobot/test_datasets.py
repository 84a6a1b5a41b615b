"""Datasets by LeRobot's own writers, read value by value; ours, read by LeRobot's own reader."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from smp_bringup.bag.aligned import aligned_sets, leader_trajectory
from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import ConfigError
from smp_bringup.exchange.from_lerobot import import_dataset
from smp_bringup.exchange.to_lerobot import export
from smp_bringup.mapping.document import load_mapping

sys.path.insert(0, str(Path(__file__).parents[1]))
from lerobot_sets import TASK, Foreign

HERE, SIZE = Path(__file__).parent, 64
SWAPPED = [*range(7, 14), *range(7)]
FORMS = {
    "video": {"video": True},
    "image": {"video": False},
    "swapped": {"order": SWAPPED, "video": False},
    "10_hz": {"fps": 10, "video": False},
    "60_hz_video": {"fps": 60, "video": True, "order": SWAPPED},
}


@pytest.fixture(scope="module")
def small(robot):
    """The robot with two small cameras."""
    told = {"width": SIZE, "height": SIZE, "observation_width": SIZE, "observation_height": SIZE}
    return replace(robot, cameras=tuple(replace(c, **told) for c in robot.cameras[:2]))


def settings(told, order, names, video, scale=1.0):
    def stored(joints):
        return list((joints * scale)[order])

    colour = [[told.image(told.robot.cameras[0], e, k)[0, 0].tolist() for k in range(told.frames)] for e in range(3)]
    episodes = [
        [(stored(told.state(e, k)), stored(told.action(e, k)), colour[e][k]) for k in range(told.frames)]
        for e in range(told.episodes)
    ]
    cameras = [camera.name for camera in told.robot.cameras]
    head = {"fps": told.fps, "names": names, "cameras": cameras, "size": SIZE, "video": video, "task": TASK}
    return head | {"episodes": episodes}


def written(python, run_there, folder, said):
    (folder / "settings.json").write_text(json.dumps(said))
    run_there(python, HERE / "write_dataset.py", folder / "settings.json", folder / "dataset")
    return folder / "dataset"


def require_values(told, folders):
    assert len(folders) == told.episodes
    for episode, folder in enumerate(folders):
        bag = open_bag(folder)
        sets, (_, leader) = list(aligned_sets(bag, bag.robot())), leader_trajectory(bag, bag.robot())
        assert len(sets) == len(leader) == told.frames
        assert bag.episode["text"] == TASK
        for k, (seen, action) in enumerate(zip(sets, leader, strict=True)):
            np.testing.assert_allclose(seen.position, told.state(episode, k), atol=1e-6)
            np.testing.assert_allclose(action, told.action(episode, k), atol=1e-6)
            for camera in told.robot.cameras:
                shown = seen.images[camera.name].reshape(-1, 3).mean(axis=0)
                np.testing.assert_allclose(shown, told.image(camera, episode, k)[0, 0], atol=6)


@pytest.mark.parametrize("version", ["v3.0", "v2.1"])
@pytest.mark.parametrize("form", FORMS)
def test_what_lerobot_writes_is_read_value_by_value(form, version, small, request, run_there, tmp_path):
    python = request.getfixturevalue("lerobot_python" if version == "v3.0" else "old_python")
    said = {"order": list(range(14)), "fps": 25, **FORMS[form]}
    told = Foreign(small, episodes=3, frames=7, fps=said["fps"])
    names = [f"{small.joint_names[i]}.pos" for i in said["order"]]
    dataset = written(python, run_there, tmp_path, settings(told, said["order"], names, said["video"]))
    info = json.loads((dataset / "meta/info.json").read_text())
    assert info["codebase_version"] == version
    if version == "v3.0":
        assert len(list(dataset.glob("data/**/*.parquet"))) == 1  # three episodes in a file
    require_values(told, import_dataset(dataset, tmp_path / "bags", small).folders)


def test_degrees_and_names_of_others_need_a_mapping_that_is_asked_for(small, lerobot_python, run_there, tmp_path):
    told, names = Foreign(small, episodes=2, frames=5), [f"motor_{i}" for i in range(14)]
    turns = np.where(small.turning, 180 / np.pi, 1000.0)
    dataset = written(lerobot_python, run_there, tmp_path, settings(told, list(range(14)), names, False, turns))
    with pytest.raises(ConfigError, match=r"write their name of each joint .* config/imports/lerobot.yaml"):
        import_dataset(dataset, tmp_path / "bags", small)
    arms = {}
    for arm in small.arms:
        first = small.arm_slices[arm.name].start
        arms[arm.name] = {"joints": {j.name: {"name": f"motor_{first + i}"} for i, j in enumerate(arm.joints)}}
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump({"robot": "aloha", "arms": arms}))
    with pytest.raises(ConfigError, match=r"that looks like .*write unit"):
        import_dataset(dataset, tmp_path / "bags", small, mapping=load_mapping(str(tmp_path / "mapping.yaml")))
    for arm in small.arms:
        for joint in arm.joints:
            arms[arm.name]["joints"][joint.name]["unit"] = "deg" if joint.turns else "mm"
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump({"robot": "aloha", "arms": arms}))
    mapping = load_mapping(str(tmp_path / "mapping.yaml"))
    require_values(told, import_dataset(dataset, tmp_path / "bags", small, mapping=mapping).folders)


READ = """
import sys, json
from lerobot.datasets import LeRobotDataset
data = LeRobotDataset("local/ours", root=sys.argv[1], video_backend="pyav")
rows = [data[i] for i in range(len(data))]
json.dump({
    "names": list(data.meta.features["action"]["names"]),
    "state": [row["observation.state"].tolist() for row in rows],
    "action": [row["action"].tolist() for row in rows],
    "colour": [(row["observation.images.overview"].mean((1, 2)) * 255).tolist() for row in rows],
    "task": [row["task"] for row in rows],
}, open(sys.argv[2], "w"))
"""


def test_what_we_write_is_read_by_lerobot_value_by_value(small, lerobot_python, run_there, tmp_path):
    told = Foreign(small, episodes=2, frames=6)
    folders = import_dataset(
        written(lerobot_python, run_there, tmp_path, settings(told, list(range(14)), list(small.joint_names), False)),
        tmp_path / "bags",
        small,
    ).folders
    export(folders, tmp_path / "ours")
    run_there(lerobot_python, "-c", READ, tmp_path / "ours", tmp_path / "read.json")
    read = json.loads((tmp_path / "read.json").read_text())
    assert read["names"] == list(small.joint_names)
    assert set(read["task"]) == {TASK}
    numbers = [(e, k) for e in range(2) for k in range(6)]
    np.testing.assert_allclose(read["state"], [told.state(*n) for n in numbers], atol=1e-6)
    np.testing.assert_allclose(read["action"], [told.action(*n) for n in numbers], atol=1e-6)
    shown = [told.image(small.cameras[0], *n)[0, 0] for n in numbers]
    np.testing.assert_allclose(read["colour"], shown, atol=3)
