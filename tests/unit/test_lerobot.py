"""Datasets that others wrote: every joint under its own name and in its own unit, or one line that says why not."""

import json
import re
import resource
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from smp_bringup import config
from smp_bringup.bag.aligned import aligned_sets, leader_trajectory
from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import BagError, ConfigError, SmpError
from smp_bringup.exchange.from_lerobot import import_dataset
from smp_bringup.exchange.to_lerobot import export
from smp_bringup.mapping.document import ImportMapping, load_mapping, require_known
from smp_bringup.paths import share
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import QualityConfig
from smp_bringup.robot import load_robot

sys.path.insert(0, str(Path(__file__).parents[1]))
from lerobot_sets import DATA, EPISODES, TASK, Foreign

SWAPPED = [*range(7, 14), *range(7)]
"""The right arm first."""


@pytest.fixture(scope="module")
def small(robot):
    """The robot with two cameras of few pixels."""
    cameras = [replace(c, width=32, height=24, observation_width=32, observation_height=24) for c in robot.cameras]
    return replace(robot, cameras=tuple(cameras[:2]))


def check_values(told, folders, images=True):
    """Every joint of every row has its own value, every image is its own."""
    assert len(folders) == told.episodes
    for episode, folder in enumerate(folders):
        bag = open_bag(folder)
        robot = bag.robot()
        assert robot.unlike(told.robot) == ""
        assert {c.rate_hz for c in robot.cameras} == {told.fps}
        sets, (_, leader) = list(aligned_sets(bag, robot)), leader_trajectory(bag, robot)
        rows = [k for k in range(told.frames) if episode * told.frames + k not in told.drop]
        assert len(sets) == len(leader) == len(rows)
        for k, s, action in zip(rows, sets, leader, strict=True):
            np.testing.assert_allclose(s.position, told.state(episode, k), atol=1e-6)
            np.testing.assert_allclose(action, told.action(episode, k), atol=1e-6)
            for camera in robot.cameras if images else ():
                shown = s.images[camera.name].reshape(-1, 3).mean(axis=0)
                np.testing.assert_allclose(shown, told.image(camera, episode, k)[0, 0], atol=6)


def names(robot, form="{}", order=range(14)):
    return [form.format(robot.joint_names[i]) for i in order]


SOUND = {
    "the robot's names": lambda r: {"state_names": names(r), "action_names": names(r)},
    "the right arm first": lambda r: (
        dict.fromkeys(("state_order", "action_order"), SWAPPED)
        | dict.fromkeys(("state_names", "action_names"), names(r, order=SWAPPED))
    ),
    ".pos, the right arm first": lambda r: (
        dict.fromkeys(("state_order", "action_order"), SWAPPED)
        | dict.fromkeys(("state_names", "action_names"), names(r, "{}.pos", SWAPPED))
    ),
    "actions in another order": lambda r: {
        "state_names": names(r),
        "action_names": names(r, "{}.pos", SWAPPED),
        "action_order": SWAPPED,
    },
    "main_, and other separators": lambda r: {
        "state_names": names(r, "main_{}"),
        "action_names": [n.replace("_", ".", 1) + ".pos" for n in names(r)],
    },
    "a list in a list, a list under a word": lambda r: {
        "state_names": [names(r)],
        "action_names": {"motors": names(r, "{}/position")},
    },
    "places by name": lambda r: {
        "state_names": dict(zip(names(r, order=SWAPPED), range(14), strict=True)),
        "state_order": SWAPPED,
        "action_names": dict(reversed(list(enumerate_names(r)))),
    },
    "joints under their arms": lambda r: {
        "state_names": {a.name: [j.name.removeprefix(a.name + "_") for j in a.joints] for a in reversed(r.arms)},
        "state_order": SWAPPED,
        "action_names": names(r),
    },
    "more entries than joints": lambda r: {
        "state_names": ["base.vel", *names(r, "{}.vel"), *names(r, "{}.pos")],
        "state_order": [0, *range(14), *range(14)],
        "action_names": names(r),
    },
    "images in the table": lambda r: {"images": True},
    "channel first": lambda r: {"channel_first": True},
    "images in the table, channel first": lambda r: {"images": True, "channel_first": True},
    "colours of every pixel": lambda r: {"codec": ("libx264", "yuv444p")},
    "timestamps from the start of the recording": lambda r: {"first_s": 100.0},
    "tasks in their table alone": lambda r: {"tasks": False},
    "50 Hz": lambda r: {"fps": 50},
    "rows left out": lambda r: {"drop": (2, 3, 8)},
}


def enumerate_names(robot):
    return ((name, i) for i, name in enumerate(robot.joint_names))


@pytest.mark.parametrize("form", SOUND)
def test_what_the_format_allows_is_read_by_name(form, small, tmp_path):
    told = Foreign(small, **({"state_names": names(small), "action_names": names(small)} | SOUND[form](small)))
    imported = import_dataset(told.write(tmp_path / "set"), tmp_path / "bags", small)
    check_values(told, imported.folders)
    assert imported.outside == []
    episode = open_bag(imported.folders[0]).episode
    assert (episode["text"], episode["outcome"]) == (TASK, "unlabelled")
    assert (episode["source"], episode["rate_hz"], episode["commands"]) == ("lerobot", str(told.fps), "none")


def aged(root):
    """Turn a dataset into what LeRobot wrote before v3.0: a file for each episode, lists in JSON."""
    table, data = pq.read_table(root / DATA), "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    numbers = table["episode_index"].to_numpy()
    rows = [{"episode_index": e, "tasks": [TASK], "length": int((numbers == e).sum())} for e in np.unique(numbers)]
    for row in rows:
        row["episode_index"] = number = int(row["episode_index"])
        pq.write_table(
            table.filter(pa.array(numbers == number)), root / data.format(episode_chunk=0, episode_index=number)
        )
    (root / "meta/episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "meta/tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": TASK}) + "\n")
    (root / DATA).unlink()
    (root / EPISODES).unlink()
    rewrite_info(root, codebase_version="v2.1", data_path=data, chunks_size=1000)
    return root


def test_what_lerobot_wrote_before_is_read_too(small, tmp_path):
    told = Foreign(small, images=True, state_names=names(small, order=SWAPPED), state_order=SWAPPED)
    told.action_names = names(small)
    dataset = aged(told.write(tmp_path / "dataset"))
    check_values(told, import_dataset(dataset, tmp_path / "bags", small).folders)
    (dataset / "meta/episodes.jsonl").write_text("[1]\n")
    with pytest.raises(BagError, match=r"episodes.jsonl' does not hold a JSON object a line"):
        import_dataset(dataset, tmp_path / "again", small)
    rewrite_info(dataset, codebase_version="v2.0")
    with pytest.raises(BagError, match=r"has version v2.0, v3.0 and v2.1 are read"):
        import_dataset(dataset, tmp_path / "again", small)


def test_twenty_episodes_in_a_file_cost_as_much_each_as_five(small, tmp_path, monkeypatch):
    decoded = []
    real = av.open

    class Counted:
        def __init__(self, container):
            self._container = container

        def __getattr__(self, name):
            return getattr(self._container, name)

        def decode(self, *args):
            for frame in self._container.decode(*args):
                decoded.append(frame)
                yield frame

    for episodes in (5, 20):
        told = Foreign(small, episodes=episodes, state_names=names(small), action_names=names(small))
        told.write(tmp_path / f"set{episodes}")
        monkeypatch.setattr("smp_bringup.exchange.video.av.open", lambda path: Counted(real(path)))
        folders = import_dataset(tmp_path / f"set{episodes}", tmp_path / f"bags{episodes}", small).folders
        monkeypatch.undo()
        check_values(told, folders)
        assert len(decoded) == episodes * told.frames * len(small.cameras)
        decoded.clear()


def mapping(robot, **joints):
    """Return a mapping of some joints, by name."""
    arms = {a.name: {"joints": {n: v for n, v in joints.items() if n.startswith(a.name)}} for a in robot.arms}
    return config.build(ImportMapping, {"robot": "aloha", "arms": arms}, "mapping")


def test_what_is_called_and_measured_otherwise_needs_a_mapping(small, tmp_path):
    strange = [f"m{i}" for i in range(14)]
    told = Foreign(small, state_names=strange, action_names=[f"goal{i}" for i in range(14)], scale=-180 / np.pi)
    root = told.write(tmp_path / "set")
    with pytest.raises(
        ConfigError, match=r"has no left_waist, .* only m0, m1, .* config/imports/lerobot\.yaml .*--map"
    ):
        import_dataset(root, tmp_path / "bags", small)
    joints = {
        j.name: {"name": f"m{i}", "leader": f"goal{i}", "sign": -1}
        | ({"scale": np.pi / 180} if j.gripper else {"unit": "deg"})
        for i, j in enumerate(small.joints)
    }
    imported = import_dataset(root, tmp_path / "bags", small, mapping=mapping(small, **joints))
    check_values(told, imported.folders)
    joints["right_waist"] = joints["left_waist"]
    with pytest.raises(ConfigError, match="'m0' would be two joints of the robot"):
        import_dataset(root, tmp_path / "bags", small, mapping=mapping(small, **joints))


def test_entries_without_names_are_told_by_their_place(small, tmp_path):
    root = Foreign(small, state_order=SWAPPED).write(tmp_path / "set")
    with pytest.raises(ConfigError, match="has no left_waist"):
        import_dataset(root, tmp_path / "bags", small)
    # the state has the right arm first; the actions, which have the left one first, are told the same way
    joints = {n: {"name": str(SWAPPED.index(i)), "leader": str(i)} for i, n in enumerate(small.joint_names)}
    imported = import_dataset(root, tmp_path / "bags", small, mapping=mapping(small, **joints))
    check_values(Foreign(small), imported.folders)


def test_features_are_mapped_too(small, tmp_path):
    told = Foreign(small, state_names=names(small), action_names=names(small), prefix="observation.images.cam_")
    root = told.write(tmp_path / "set")
    with pytest.raises(BagError, match=r"lacks observation\.images\.overview.*observation\.images\.cam_overview"):
        import_dataset(root, tmp_path / "bags", small)
    cameras = {c.name: f"observation.images.cam_{c.name}" for c in small.cameras}
    check_values(told, import_dataset(root, tmp_path / "bags", small, mapping=ImportMapping("x", {}, cameras)).folders)


@pytest.mark.parametrize(
    ("scale", "error"), [(180 / np.pi, r"looks like degrees, not \[rad\]"), (1000, r"looks like .*, not \[")]
)
def test_degrees_and_millimetres_are_not_taken_for_ours(scale, error, small, tmp_path):
    told = Foreign(small, scale=scale, state_names=names(small), action_names=names(small))
    with pytest.raises(ConfigError, match=f"observation.state: left_.*{error}.*unit"):
        import_dataset(told.write(tmp_path / "set"), tmp_path / "bags", small)
    assert not list(tmp_path.glob("bags/**/*.mcap"))


def test_values_outside_the_limits_are_named(small, tmp_path):
    joints = {n: {"offset": 0.3} for n in ("left_gripper", "right_elbow")}
    told = Foreign(small, state_names=names(small), action_names=names(small))
    imported = import_dataset(told.write(tmp_path / "set"), tmp_path / "bags", small, mapping=mapping(small, **joints))
    assert [text.split(":")[0] for text in imported.outside] == [
        "observation.state is outside the joint limits",
        "action is outside the joint limits",
    ]
    assert all("left_gripper 0.32" in text and "elbow" not in text for text in imported.outside)
    assert open_bag(imported.folders[0]).episode["outside"] == "; ".join(imported.outside)


def test_ambiguous_and_double_names_are_refused(small, tmp_path):
    twice = ["left_waist.pos", *names(small)[1:], "left_waist/pos"]
    order = [*range(14), 0]
    for given, error in (
        (twice, "left_waist' could be left_waist.pos, left_waist/pos"),
        (names(small)[:13] * 2, "twice"),
    ):
        told = Foreign(small, state_names=given, state_order=(order * 2)[: len(given)], action_names=names(small))
        with pytest.raises(ConfigError, match=error):
            import_dataset(told.write(tmp_path / error[:4]), tmp_path / "bags", small)


def set_cell(root, column, value):
    table = pq.read_table(root / EPISODES).to_pylist()
    table[1][column] = value
    pq.write_table(pa.Table.from_pylist(table), root / EPISODES)


def rewrite_info(root, **changes):
    path = root / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut(path, share=0.6):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


VIDEO = "videos/observation.images.overview/chunk-000/file-000.mp4"
DAMAGE = {
    "a null place of a video": (
        lambda d: set_cell(d, "videos/observation.images.overview/file_index", None),
        "file_index in meta/episodes is None",
    ),
    "rows that are missing": (lambda d: set_cell(d, "length", 7), "6 rows of episode 1, meta/episodes says 7"),
    "an episode that is missing": (lambda d: rewrite_info(d, total_episodes=3), "says 3 episodes, .* names 2"),
    "a video too short": (
        lambda d: set_cell(d, "videos/observation.images.overview/to_timestamp", 0.3),
        "its 6 rows need more",
    ),
    "no table": (lambda d: (d / DATA).unlink(), "cannot be read: no such file"),
    "a cut table": (lambda d: cut(d / DATA), "cannot be read"),
    "no video": (lambda d: (d / VIDEO).unlink(), "cannot be read: no such file"),
    "a cut video": (lambda d: cut(d / VIDEO), "cannot be read|has no frame|holds no video"),
    "a pointer": (
        lambda d: (d / VIDEO).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
        "Git LFS: git lfs pull",
    ),
    "a path that leads out": (lambda d: rewrite_info(d, data_path="../{chunk_index}{file_index}"), "not in its folder"),
    "a pattern that formats at will": (lambda d: rewrite_info(d, data_path="{chunk_index:>999999999d}"), "no pattern"),
    "a pattern that looks inside": (lambda d: rewrite_info(d, data_path="{chunk_index.real}"), "no pattern"),
    "no rate": (lambda d: rewrite_info(d, fps=None), "fps in meta/info.json is None"),
    "another rate": (lambda d: rewrite_info(d, fps=50), "do not rise together at 50 Hz|need more"),
    "nesting without end": (lambda d: (d / "meta/info.json").write_text("[" * 100_000), "cannot be read"),
    "no text at all": (lambda d: (d / "meta/info.json").write_bytes(b"\xff\xfe\x00"), "cannot be read"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_dataset_is_one_line_and_leaves_nothing(kind, small, tmp_path):
    spoil, error = DAMAGE[kind]
    told = Foreign(small, state_names=names(small), action_names=names(small))
    spoil(told.write(tmp_path / "set"))
    with pytest.raises(SmpError, match=error) as caught:
        import_dataset(tmp_path / "set", tmp_path / "bags", small)
    assert "\n" not in str(caught.value)
    assert not [p for p in tmp_path.glob("bags/**/*") if p.is_file()]


def test_what_stood_there_before_stays(small, tmp_path):
    root = Foreign(small, state_names=names(small), action_names=names(small)).write(tmp_path / "set")
    folders = import_dataset(root, tmp_path / "bags", small).folders
    (folders[0] / "note").write_text("mine")
    with pytest.raises(BagError, match="exists already"):
        import_dataset(root, tmp_path / "bags", small)
    assert (folders[0] / "note").exists()
    assert all(f.exists() for f in folders)


def test_a_round_trip_of_odd_sizes_keeps_joints_and_their_order(robot, small, tmp_path):
    odd = replace(small, cameras=tuple(replace(c, width=33, height=25) for c in small.cameras))
    told = Foreign(odd, state_names=names(odd), action_names=names(odd), images=True)
    folders = import_dataset(told.write(tmp_path / "set"), tmp_path / "bags", odd).folders
    for kind in ("lossless", "compact"):
        export(folders, tmp_path / kind, kind)
        assert [p.name for p in tmp_path.glob("*.partial")] == []
        info = json.loads((tmp_path / kind / "meta/info.json").read_text())
        assert info["features"]["action"]["names"] == list(robot.joint_names)
        check_values(told, import_dataset(tmp_path / kind, tmp_path / f"{kind}_back").folders)


def test_an_export_that_fails_leaves_nothing_and_can_be_tried_again(small, tmp_path, monkeypatch):
    told = Foreign(small, state_names=names(small), action_names=names(small))
    folders = import_dataset(told.write(tmp_path / "set"), tmp_path / "bags", small).folders
    codecs = {"lossless": ("libx264rgb", "rgb24", {"qp": "nonsense"})}
    monkeypatch.setattr("smp_bringup.exchange.video.CODECS", codecs)
    with pytest.raises(BagError, match=r"video '.*' of 32 x 24 px cannot be written"):
        export(folders, tmp_path / "again")
    monkeypatch.undo()
    assert not list(tmp_path.glob("again*"))
    assert export(folders, tmp_path / "again").frames == 12
    with pytest.raises(BagError, match="cannot be written: Not a directory"):
        export(folders, folders[0] / "metadata.yaml" / "set")


@contextmanager
def largest_file(size):
    """Let this process write no file of more bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [500, 5_000])
def test_a_full_disk_is_one_line_and_leaves_nothing(size, small, tmp_path):
    told = Foreign(small, frames=30, state_names=names(small), action_names=names(small))
    root = told.write(tmp_path / "set")
    with largest_file(size), pytest.raises(BagError, match="cannot be written"):
        import_dataset(root, tmp_path / "full", small)
    assert not [p for p in tmp_path.glob("full/**/*") if p.is_file()]
    folders = import_dataset(root, tmp_path / "bags", small).folders
    with largest_file(size), pytest.raises(BagError, match="cannot be written"):
        export(folders, tmp_path / "dataset")
    assert not list(tmp_path.glob("dataset*"))


def test_statistics_have_the_quantiles_of_lerobot(small, tmp_path):
    told = Foreign(small, frames=30, state_names=names(small), action_names=names(small))
    export(import_dataset(told.write(tmp_path / "set"), tmp_path / "bags", small).folders, tmp_path / "out")
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    rows = pq.read_table(tmp_path / "out" / EPISODES).to_pylist()
    for word, share_ in (("q01", 0.01), ("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q99", 0.99)):
        for episode in range(2):
            states = np.array([told.state(episode, k) for k in range(30)], np.float32)
            np.testing.assert_allclose(
                rows[episode][f"stats/observation.state/{word}"], np.quantile(states, share_, axis=0), atol=1e-6
            )
        both = [row[f"stats/observation.state/{word}"] for row in rows]
        np.testing.assert_allclose(stats["observation.state"][word], np.mean(both, axis=0), atol=1e-6)
        assert np.shape(stats["observation.images.overview"][word]) == (3, 1, 1)


def test_the_mappings_that_are_shipped_fit_their_robots():
    for path in share("config", "imports").glob("*.yaml"):
        told = load_mapping(str(path))
        require_known(load_robot(told.robot), told)


@pytest.mark.parametrize(
    ("joint", "error"),
    [
        ({"left_wasit": "x"}, r"no joint 'left_wasit' \(did you mean 'left_waist'\?\)"),
        ({"left_waist": {"unit": "mm"}}, "joint 'left_waist' has unit mm, allowed: rad, deg"),
        ({"left_gripper": {"unit": "degrees"}}, "must be one of"),
        ({"left_waist": {"sign": 0}}, "sign must be 1 or -1"),
        ({"left_waist": {"scale": 0}}, "scale must be a number in"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(joint, error, robot, tmp_path):
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump({"robot": "aloha", "arms": {"left": {"joints": joint}}}))
    with pytest.raises(ConfigError, match=error):
        require_known(robot, load_mapping(str(path)))


def test_one_camera_of_theirs_is_one_of_ours(small, tmp_path):
    told = Foreign(small, state_names=names(small), action_names=names(small)).write(tmp_path / "set")
    first, second = (camera.name for camera in small.cameras)
    for cameras in ({first: f"observation.images.{second}"}, dict.fromkeys((first, second), "observation.images.x")):
        features = json.loads((told / "meta/info.json").read_text())["features"]
        features["observation.images.x"] = features[f"observation.images.{first}"]
        (told / "meta/info.json").write_text(
            json.dumps(json.loads((told / "meta/info.json").read_text()) | {"features": features})
        )
        with pytest.raises(ConfigError, match="would be two cameras of the robot"):
            import_dataset(told, tmp_path / "bags", small, mapping=ImportMapping("aloha", cameras=cameras))
    assert not (tmp_path / "bags").exists()


def test_half_a_character_in_their_text_is_one_line(small, tmp_path):
    told = Foreign(small, state_names=names(small), action_names=names(small)).write(tmp_path / "set")
    (told / "meta/smp_bringup.json").write_text(json.dumps({"0": {"episode.json": json.dumps({"task": "a\ud800b"})}}))
    with pytest.raises(BagError, match=r"smp_bringup.json' cannot be read: .*surrogates not allowed") as refused:
        import_dataset(told, tmp_path / "bags", small)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "why"),
    [("offset: -90", "offset -90 must be in rad"), ("scale: 5.0e-324", "scale must be"), ("scale: 1.0e+99", "scale")],
)
def test_a_mapping_of_another_unit_or_of_no_world_is_refused(said, why, tmp_path):
    joint = f"{{unit: deg, {said}}}"
    (tmp_path / "m.yaml").write_text(f"robot: aloha\narms: {{left: {{joints: {{left_waist: {joint}}}}}}}\n")
    with pytest.raises(ConfigError, match=why):
        load_mapping(str(tmp_path / "m.yaml"))


@pytest.mark.parametrize(
    ("state", "leader", "said"),
    [
        ("action", "", r"arm 'left': all its joints in action are taken for what was measured and for what the arm"),
        ("", "observation.state", r"arm 'left': all its joints in observation\.state are taken for what was measured"),
        ("action", "observation.state", r"arm 'left': action, .* are state and leader of the mapping swapped\?"),
        ("observation.state", "action", ""),
    ],
)
def test_what_was_told_taken_for_what_was_measured_is_said(state, leader, said, small, tmp_path):
    root = Foreign(small, state_names=names(small), action_names=names(small)).write(tmp_path / "set")
    arms = {"left": {"state": state, "leader": leader}}
    odd = import_dataset(
        root, tmp_path / "bags", small, mapping=config.build(ImportMapping, {"robot": "aloha", "arms": arms}, "m")
    ).said
    assert len(odd) == bool(said)
    assert not said or re.match(said, odd[0]), odd


def column(root, path, name, values):
    """Replace a column of a table."""
    table = pq.read_table(root / path)
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(values)), root / path)


def test_two_episodes_are_not_shown_by_the_same_frames(small, tmp_path):
    root = Foreign(small, state_names=names(small), action_names=names(small)).write(tmp_path / "set")
    key = f"observation.images.{small.cameras[0].name}"
    column(root, EPISODES, f"videos/{key}/from_timestamp", [0.0, 0.0])
    said = rf"frames of episode 0 end at 0\.220 s, those of episode 1 begin at 0\.000 s.*{key}"
    with pytest.raises(BagError, match=said):
        import_dataset(root, tmp_path / "bags", small)


@pytest.mark.parametrize("values", [[True] * 14, ["0.1"] * 14])
def test_what_is_no_number_is_not_made_one(values, small, tmp_path):
    root = Foreign(small, state_names=names(small), action_names=names(small)).write(tmp_path / "set")
    column(root, DATA, "action", [values] * 12)
    with pytest.raises(BagError, match=r"action holds (bool|string), expected numbers"):
        import_dataset(root, tmp_path / "bags", small)


@pytest.mark.parametrize("dtype", ["video", "string", 5])
def test_joints_are_numbers_by_what_the_dataset_says(dtype, small, tmp_path):
    root = Foreign(small, state_names=names(small), action_names=names(small)).write(tmp_path / "set")
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["action"]["dtype"] = dtype
    (root / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(ConfigError, match=rf"action has dtype {dtype}, expected numbers, such as float32"):
        import_dataset(root, tmp_path / "bags", small)


class Repeating(Foreign):
    """Arms that move, and cameras that show each picture several times."""

    times = 2

    def state(self, episode, k):
        return self.robot.joint_array("home") + np.where(self.robot.turning, 0.2 * np.sin(k / 5), 0.0)

    def image(self, camera, episode, k):
        return super().image(camera, episode, k // self.times)


@pytest.mark.parametrize(
    ("images", "times", "found"),
    [(True, 2, "reject duplicates"), (False, 2, "warn duplicates"), (False, 20, "reject frozen")],
)
def test_equal_frames_of_a_video_are_held_against_a_recording_only_beyond_what_a_codec_does(
    images, times, found, small, tmp_path
):
    names = list(small.joint_names)
    told = Repeating(small, episodes=1, frames=60, images=images, state_names=names, action_names=names)
    told.times = times
    (folder,) = import_dataset(told.write(tmp_path / "data"), tmp_path / "bags", small).folders
    bag = open_bag(folder)
    verdict = judge_bag(bag, bag.robot(), QualityConfig())
    assert found in [f"{finding.level.name.lower()} {finding.check}" for finding in verdict.findings]
    assert not (times == 2 and not images) or verdict.word == "warn"
