"""A policy of LeRobot in the place of ours: what is refused at load, what crosses the pipe, what a dead worker does."""

import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import ConfigError, ModelError, WorkerError
from smp_bringup.lerobot import process as process_module
from smp_bringup.lerobot.deployment import PYTHON_VARIABLE, signature
from smp_bringup.lerobot.policy import load
from smp_bringup.lerobot.worker import framing
from smp_bringup.paths import named_config
from smp_bringup.pipeline import build_planner, build_policy
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.policy.trial import blank
from smp_bringup.replay.run import ReplaySettings, replay
from smp_bringup.robot import load_robot
from smp_bringup.sim.demonstration import record_demonstration
from smp_bringup.sim.noise import NoisySensors
from smp_bringup.sim.rollout import Timing, rollout
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.types import Observation

sys.path.insert(0, str(Path(__file__).parents[1]))
from lerobot_checkpoints import checkpoint, interpreter

SWAPPED = [*range(7, 14), *range(7)]
"""The right arm first."""
WAIT_S = 60.0


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    """The interpreter of an environment that has the stand-in for LeRobot."""
    return interpreter(tmp_path_factory.mktemp("environment"))


@pytest.fixture
def python(interpreted, monkeypatch):
    monkeypatch.setenv(PYTHON_VARIABLE, str(interpreted))


@pytest.fixture(scope="module")
def swapped(robot, interpreted, tmp_path_factory):
    """A policy whose dataset had the right arm first."""
    folder = tmp_path_factory.mktemp("swapped")
    checkpoint(folder, robot, order=SWAPPED)
    policy = load(named(deployed(folder, checkpoint="pretrained_model", python=str(interpreted))), robot)
    yield policy
    policy.process.close()


@pytest.fixture
def nothing_starts(monkeypatch):
    """No process may be started."""
    monkeypatch.setenv(PYTHON_VARIABLE, "/nowhere/python")


def named(model):
    return find_model(f"lerobot:{model}")


def deployed(folder, **said):
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(said))
    return path


def gone(pid):
    """Wait for the end of a process; return whether it came."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], WAIT_S)[0])
    finally:
        os.close(watched)


def test_joints_are_found_by_name_whatever_their_order(robot, swapped):
    observation = blank(robot, 1)
    joints = observation.position + np.arange(robot.dof)
    chunk, gate = swapped.infer(Observation(7, observation.images, joints, observation.velocity), 0)
    assert chunk.position.shape == (8, robot.dof) == (swapped.config.horizon, robot.dof)
    np.testing.assert_allclose(chunk.position, joints + 0.01 * np.arange(8)[:, None], atol=1e-5)
    assert (chunk.stamp_ns, chunk.period_s) == (7, robot.action_period_s)
    assert set(gate.stage_ms) == {"encode", "denoise", "decode"}


@pytest.mark.parametrize(("kind", "steps"), [("act", 1), ("diffusion", 1), ("diffusion", 2)])
def test_observations_have_the_axis_of_time_that_those_of_training_had(robot, python, tmp_path, kind, steps):
    model = checkpoint(tmp_path, robot, kind=kind, steps=steps)
    policy = load(named(model), robot)
    chunk, _ = policy.infer(blank(robot, steps), 0)
    policy.process.close()
    np.testing.assert_allclose(chunk.position[0], robot.joint_array("home"), atol=1e-5)


def test_a_mapping_says_their_names_and_signs(robot, python, tmp_path):
    said = [f"j{i}" for i in range(robot.dof)]
    checkpoint(tmp_path, robot, said)
    arms = {}
    for arm in robot.arms:
        first = robot.arm_slices[arm.name].start
        joints = {j.name: {"name": f"j{first + i}", "sign": -1} for i, j in enumerate(arm.joints)}
        arms[arm.name] = {"joints": joints}
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump({"robot": "aloha", "arms": arms}))
    file = deployed(tmp_path, checkpoint="pretrained_model", mapping="mapping.yaml", replan_s=0.2)
    policy = load(named(file), robot)
    chunk, _ = policy.infer(blank(robot, 1), 0)
    policy.process.close()
    assert policy.config.replan_s == 0.2
    home = np.array(robot.joint_array("home"))
    np.testing.assert_allclose(chunk.position, home - 0.01 * np.arange(8)[:, None], atol=1e-5)


def steps_of(policy, robot, sentence):
    """Return by how much each action of a chunk is beyond the one before, where a sentence says what to do."""
    chunk, _ = policy.infer(replace(blank(robot, 1), told=sentence), 0)
    return np.diff(chunk.position, axis=0)


def test_it_is_told_the_sentence_and_until_somebody_says_one_that_of_its_file(robot, python, tmp_path):
    checkpoint(tmp_path, robot, told=True)
    policy = load(named(deployed(tmp_path, checkpoint="pretrained_model", task="back")), robot)
    assert policy.config.words
    assert policy.told == "back"
    np.testing.assert_allclose(steps_of(policy, robot, ""), -0.01, atol=1e-5)
    np.testing.assert_allclose(steps_of(policy, robot, "on"), 0.01, atol=1e-5)
    noisy = NoisySensors(policy, robot, 0.0, 0)
    assert noisy.words_of("on") is None  # LeRobot embeds it
    np.testing.assert_allclose(steps_of(noisy, robot, "on"), 0.01, atol=1e-5)
    policy.process.close()


def test_episodes_and_bags_say_what_they_show(robot, python, tmp_path):
    """What the file says would fail, so no chunk comes from it."""
    policy = load(named(checkpoint(tmp_path, robot, told=True)), robot)
    policy.told, world = "fail", World(TASKS["press_two_buttons"](), robot)
    assert rollout(world, policy, robot, 1, timing=Timing(seam="latest")).gates
    with pytest.raises(ModelError, match="out of memory"):
        rollout(world, policy, robot, 1, timing=Timing(seam="latest"), say="fail")
    assert record_demonstration(world, robot, 1, tmp_path / "bag", 0.0)
    bag = open_bag(tmp_path / "bag")
    assert bag.text == world.task.config.text
    assert replay(bag, policy, robot, ReplaySettings(seam="latest")).chunks
    policy.process.close()


CAMERA = {"type": "VISUAL", "shape": [3, 96, 96]}
NAMED = "into a mapping .* mapping: in the file of lerobot:FILE"
REFUSED = {
    "names": ({"names": [f"joint_{i}" for i in range(14)]}, f"has no left_waist, .*; write their name .* {NAMED}"),
    "degrees": ({"scale": 180 / np.pi * 10}, f"looks like degrees, not .rad.; write unit .* {NAMED}"),
    "rate": ({"fps": 30}, "trained on 30 frames a second, .* write action_period_s: 0.03333"),
    "camera": (
        {"observation.images.overview": None, "observation.images.top": CAMERA},
        r"sees observation.images.top, .* \(cameras: NAME: observation.images.top\) into a mapping",
    ),
    "size": (
        {"observation.images.overview": {"type": "VISUAL", "shape": [3, 480, 640]}},
        "640 x 480 px, robot 'aloha' gives 96 x 96 .* write observation_width: 640, observation_height: 480",
    ),
    "no size": ({"observation.images.overview": {"type": "VISUAL", "shape": [3]}}, "sees observation.images.overview"),
    "force": (
        {"observation.force": {"type": "STATE", "shape": [6]}},
        "sees observation.force .STATE., which the robot",
    ),
    "shape": ({"observation.state": {"type": "STATE", "shape": [15]}}, r"has shape \(15,\) .* and 14 names"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_before_anything_starts(case, robot, nothing_starts, tmp_path):
    changes, why = REFUSED[case]
    model = checkpoint(tmp_path, robot, **changes)
    with pytest.raises(ConfigError, match=why) as refused:
        load(named(model), robot)
    assert "\n" not in str(refused.value)


def test_two_cameras_of_the_robot_are_not_one_of_the_policys(robot, nothing_starts, tmp_path):
    checkpoint(tmp_path, robot)
    cameras = {"wrist_left": "observation.images.overview"}
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump({"robot": "aloha", "cameras": cameras}))
    with pytest.raises(ConfigError, match=r"'observation.images.overview' would be two cameras of the robot"):
        load(named(deployed(tmp_path, checkpoint="pretrained_model", mapping="mapping.yaml")), robot)


def test_a_damaged_normalizer_is_one_line(robot, nothing_starts, tmp_path):
    model = checkpoint(tmp_path, robot)
    (model / "policy_preprocessor_normalizer.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match=r"normalizer.safetensors' cannot be read"):
        load(named(model), robot)


def test_a_policy_whose_dataset_is_gone_needs_names(robot, nothing_starts, tmp_path):
    model = checkpoint(tmp_path, robot)
    (tmp_path / "dataset").rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match=r"does not say what its numbers are called.* state_names: and action_names:"):
        load(named(model), robot)
    names = {key: list(robot.joint_names) for key in ("state_names", "action_names")}
    file = deployed(tmp_path, checkpoint="pretrained_model", rate_hz=25, **names)
    with pytest.raises(ModelError, match="interpreter '/nowhere/python' cannot be started"):
        load(named(file), robot)  # all is known now
    file = deployed(tmp_path, checkpoint="pretrained_model", dataset="moved")
    with pytest.raises(ModelError, match="interpreter '/nowhere/python' cannot be started"):
        load(named(file), robot)


def test_what_is_no_checkpoint_is_refused(robot, nothing_starts, tmp_path):
    with pytest.raises(ModelError, match=r"has no config.json: name the folder pretrained_model"):
        load(named(tmp_path), robot)


def test_a_processor_that_is_not_lerobots_is_not_imported(robot, nothing_starts, tmp_path):
    model = checkpoint(tmp_path, robot)
    (model / "policy_preprocessor.json").write_text(json.dumps({"steps": [{"class": "os.system"}]}))
    with pytest.raises(ModelError, match=r"would import os.system"):
        load(named(model), robot)


def test_without_an_interpreter_it_is_said_how_to_name_one(robot, tmp_path, monkeypatch):
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=f"{PYTHON_VARIABLE}=/path/to/lerobot/bin/python, or python: in a YAML file"):
        load(named(checkpoint(tmp_path, robot)), robot)


def test_seams_that_its_sampler_cannot_take_are_refused(robot, swapped):
    for seam in ("inpaint", "prefix"):
        with pytest.raises(ConfigError, match=f"seam {seam} .* blend or latest|seam prefix needs"):
            build_planner(swapped, robot, seam)
    for seam in ("latest", "blend"):
        planner = build_planner(swapped, robot, seam)
        assert planner.join(planner.infer(blank(robot, 1)), 0.0).chunk is not None


def test_its_settings_are_not_changed_by_set(robot, python, tmp_path):
    with pytest.raises(ConfigError, match="--set changes policies of ours"):
        build_policy(named(checkpoint(tmp_path, robot)), robot, changes=["noise=0"])


def test_other_weights_are_another_evaluation(robot, python, tmp_path):
    model = checkpoint(tmp_path, robot)
    before = list(signature(named(model)))
    assert list(signature(named(model))) == before
    (model / "model.safetensors").write_bytes(b"other")
    assert list(signature(named(model))) != before


def test_a_policy_that_fails_is_named_and_a_killed_worker_too(robot, python, tmp_path):
    policy = load(named(checkpoint(tmp_path, robot)), robot)
    home = {"observation.state": np.zeros((1, robot.dof), np.float32)}
    with pytest.raises(ModelError, match=r"inference fails in LeRobot .*: RuntimeError: CUDA error: out of memory"):
        policy.process.infer(home, 0, "fail")
    assert policy.infer(blank(robot, 1), 0)  # it goes on
    os.kill(policy.process.pid, signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(WorkerError, match=r"process \d+ was killed by SIGKILL at inference"):
            policy.infer(blank(robot, 1), 0)
    assert gone(policy.process.pid)


def test_a_worker_that_hangs_is_named_and_ended(robot, python, tmp_path, monkeypatch):
    policy = load(named(checkpoint(tmp_path, robot)), robot)
    monkeypatch.setattr(process_module, "_ANSWER_S", 0.2)
    with pytest.raises(WorkerError, match=r"process \d+ did not answer for 0.2 s at inference: it was ended"):
        policy.process.infer({"observation.state": np.zeros((1, robot.dof), np.float32)}, 0, "hang")
    assert gone(policy.process.pid)


def test_a_worker_ends_with_its_parent(robot, python, tmp_path):
    model = checkpoint(tmp_path, robot)
    program = (
        "import os, sys, pathlib; from smp_bringup.lerobot.policy import load;"
        "from smp_bringup.robot import load_robot;"
        "print(load(pathlib.Path('lerobot:' + sys.argv[1]), load_robot('aloha')).process.pid, flush=True);"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(model)], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert gone(int(done.stdout))


def test_messages_cross_whole():
    ours, theirs = socket.socketpair()
    arrays = {"a": np.arange(6, dtype=np.uint8).reshape(2, 3)[:, ::-1], "b": np.zeros((0, 4), np.float32)}
    with ours, theirs:
        framing.send(ours, {"do": "it", "n": 3}, arrays)
        message, got = framing.receive(theirs)
    assert message == {"do": "it", "n": 3}
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype


@pytest.mark.parametrize(
    ("kind", "shape", "why"),
    [
        ("object", [1], "is of object"),
        ("float64", [3], "longer than"),
        ("uint8", [-1], "longer"),
        ("U9", [1], "is of U9"),
    ],
)
def test_what_is_no_message_is_refused(kind, shape, why):
    ours, theirs = socket.socketpair()
    header = json.dumps({"message": {}, "arrays": [["x", kind, shape]]}).encode()
    with ours, theirs:
        ours.sendall(struct.pack("<II", len(header), 16) + header + bytes(16))
        with pytest.raises(ValueError, match=re.escape(why)):
            framing.receive(theirs)
        ours.sendall(struct.pack("<II", 1 << 31, 0))
        with pytest.raises(ValueError, match="too long"):
            framing.receive(theirs)


def test_a_robot_file_names_a_policy_beside_it(robot, tmp_path):
    checkpoint(tmp_path, robot)
    text = named_config("robots", "aloha").read_text().replace("model: sparse_aloha", "model: lerobot:pretrained_model")
    (tmp_path / "mine.yaml").write_text(text)
    assert load_robot(str(tmp_path / "mine.yaml")).model == f"lerobot:{tmp_path / 'pretrained_model'}"
