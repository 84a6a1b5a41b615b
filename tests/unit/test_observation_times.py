"""What a policy observes is decided by stamps, and by one rule: in training as on the robot, at any rate of cameras."""

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from smp_bringup.bag.aligned import aligned_sets
from smp_bringup.bag.messages import IMAGE, JOINT_STATE, image_cdr, joint_state_cdr
from smp_bringup.bag.reader import open_bag
from smp_bringup.bag.writer import BagWriter
from smp_bringup.errors import BagError
from smp_bringup.exchange.from_lerobot import import_dataset
from smp_bringup.exchange.to_lerobot import export
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.observation.observer import Observer
from smp_bringup.policy.config import PolicyConfig
from smp_bringup.sync.history import History
from smp_bringup.training.batches import Batches
from smp_bringup.training.dataset import load_dataset
from smp_bringup.training.job import Training, TrainingJob

T0 = 1_700_000_000_000_000_000
MS = 1_000_000
PERIOD_NS = 40 * MS
SECONDS = 1.2
RATES = (25, 30, 50, 60, 200)


def filming(robot, rate_hz, **changes):
    """Return the robot with small cameras of some rate."""
    size = {"width": 8, "height": 8, "observation_width": 8, "observation_height": 8}
    cameras = tuple(replace(c, rate_hz=float(rate_hz), **size, **changes) for c in robot.cameras)
    return replace(robot, cameras=cameras)


def frames_ms(rate_hz, rng):
    """Return when frames are seen [ms]: at their rate but for some jitter, and for a gap of 100 ms."""
    times = np.arange(0, 1e3 * SECONDS, 1e3 / rate_hz)
    times = times + rng.uniform(-0.1, 0.1, len(times)) * min(1e3 / rate_hz, 40)
    return times[(times > 5) & ~((times > 600) & (times < 700))]


def speed(robot):
    """Return the speed of each joint [rad/s]; no hand opens by a metre."""
    return np.where(robot.turning, 1.0, 0.4)


def write(folder, robot, times_ms, late_ms=0.0):
    """Write a bag whose joints move at `speed` and whose images show their number; cameras stamp late."""
    moving = speed(robot)
    events = []
    for ms in np.arange(0, 1e3 * SECONDS + 20, 10):
        at, pose = T0 + round(ms * MS), robot.joint_array("home") + ms / 1e3 * moving
        for arm in robot.arms:
            names, part = tuple(j.name for j in arm.joints), robot.arm_slices[arm.name]
            for topic in (arm.state_topic, arm.leader_topic):
                events.append((at, topic, JOINT_STATE, joint_state_cdr(at, names, pose[part])))
    for number, ms in enumerate(times_ms):
        at = T0 + round((ms + late_ms) * MS)
        for camera in robot.cameras:
            image = np.full((camera.height, camera.width, 3), number, np.uint8)
            events.append((at, camera.topic, IMAGE, image_cdr(at, camera.name, image)))
    writer = BagWriter(folder, robot, "press_two_buttons")
    for at, topic, kind, cdr in sorted(events, key=lambda event: event[0]):
        writer.write(topic, kind, at, cdr)
    return writer.close(True)


def positions(folder):
    bag = open_bag(folder)
    return np.array([aligned.position for aligned in aligned_sets(bag, bag.robot())])


def policy(robot, steps):
    return PolicyConfig("diffusion", tuple(c.name for c in robot.cameras), observation_steps=steps)


def batches(data, config, robot):
    return Batches(data, Normalizer(np.zeros(robot.dof), np.ones(robot.dof)), config, np.arange(len(data.starts) - 1))


def test_targets_are_where_the_leaders_are_from_the_frame_on(robot, tmp_path):
    """An action period apart, and where the leaders ended beyond the end of the bag."""
    robot = filming(robot, 25)
    config = replace(policy(robot, 1), foresight_s=(0.5,))
    data = load_dataset([write(tmp_path / "bag", robot, np.arange(10, 1000, 40))], robot, config, tmp_path / "cache")
    ahead_s = np.append(0.04 * np.arange(config.horizon), 0.5)
    moved = np.minimum((data.stamps - T0)[:, None] / 1e9 + ahead_s, SECONDS + 0.01)
    found = np.concatenate([data.action, data.foresight], axis=1) - robot.joint_array("home")
    np.testing.assert_allclose(found, moved[..., None] * speed(robot), atol=1e-5)


@pytest.fixture(scope="module", params=RATES)
def filmed(request, robot, tmp_path_factory):
    """Return a rate of cameras, the robot with them, and two bags of it."""
    rng, out = np.random.default_rng(20260121), tmp_path_factory.mktemp("filmed")
    robot = filming(robot, request.param)
    return request.param, robot, [write(out / f"bag{i}", robot, frames_ms(request.param, rng)) for i in range(2)]


@pytest.mark.parametrize("steps", [1, 3])
def test_training_sees_the_observations_that_the_robot_sees(filmed, steps, tmp_path):
    rate_hz, robot, bags = filmed
    data = load_dataset(bags, robot, policy(robot, steps), tmp_path / "cache")
    trained, deployed = {}, {}
    for window in data.windows(steps):
        if (window >= 0).all():
            trained[data.stamps[window[-1]]] = data.images["overview"][window][:, 0, 0, 0].tolist()
    for episode, bag in enumerate(bags):
        observer = Observer(robot, steps, 0.16)
        for aligned in aligned_sets(open_bag(bag), robot):
            observation = observer.observe(aligned)
            if observation is not None:
                deployed[episode, observation.stamp_ns] = observation.images["overview"][:, 0, 0, 0].tolist()
    assert len(deployed) > SECONDS * rate_hz
    assert list(trained.values()) == [images for (_, _), images in deployed.items()]


@pytest.mark.parametrize("steps", [1, 2])
def test_what_is_drawn_lies_an_action_period_apart(filmed, steps, rng, tmp_path):
    """Joints move at 1 rad/s, so they tell the time: to half a frame and the jitter, beside a gap to half a period."""
    rate_hz, robot, bags = filmed
    config = policy(robot, steps)
    data = load_dataset(bags[:1], robot, config, tmp_path / "cache")
    batch = batches(data, config, robot).draw(256, rng)
    state = batch.inputs["state"][:, :, 0].numpy()
    for step in (state[256:, -1] - state[:256, -1], *np.diff(state, axis=1).T):
        assert np.abs(step - 0.04).max() < 0.0201
        assert np.median(np.abs(step - 0.04)) < 0.5 / max(rate_hz, 50) + 0.2 / rate_hz
    first = state[batch.begins.numpy().astype(bool)]
    assert len(first)
    assert np.ptp(first, axis=0).max() < 1e-6
    assert first[0, -1] == pytest.approx(state[:, -1].min())


def test_draws_at_the_action_rate_are_neighbours(robot, tmp_path):
    """What the shipped policies were trained on: every frame but the first ends a pair."""
    robot = filming(robot, 25)
    config = policy(robot, 1)
    bags = [write(tmp_path / f"bag{i}", robot, np.arange(10, 1000, 40)) for i in range(2)]
    data = load_dataset(bags, robot, config, tmp_path / "cache")
    drawn = batches(data, config, robot).draw(32, np.random.default_rng(3))
    ends = [np.arange(data.starts[e] + 1, data.starts[e + 1]) for e in range(2)]
    later = np.random.default_rng(3).choice(np.concatenate(ends), 32)
    np.testing.assert_array_equal(drawn.inputs["state"][32:, 0], data.state[later])
    np.testing.assert_array_equal(drawn.inputs["state"][:32, 0], data.state[later - 1])
    np.testing.assert_array_equal(drawn.begins[:32], np.isin(later - 1, data.starts))


def test_nothing_is_trained_on_that_was_not_seen(robot, tmp_path):
    """A camera of 10 Hz shows no two instants 40 ms apart: a robot with it would never move."""
    slow, quick = filming(robot, 10), filming(robot, 25)
    bags = [
        write(tmp_path / "slow", slow, np.arange(10, 1100, 100)),
        write(tmp_path / "quick", quick, np.arange(10, 1100, 40)),
    ]
    data = load_dataset(bags, quick, policy(quick, 2), tmp_path / "cache")
    assert len(data.starts) == 2
    assert "has no 3 frames one action period (0.04 s) apart" in data.skipped[0]
    with pytest.raises(BagError, match=r"no 3 frames one action period \(0\.04 s\) apart"):
        load_dataset(bags[:1], quick, policy(quick, 2), tmp_path / "cache")


@pytest.mark.parametrize("period_s", [0.01, 0.04, 0.1, 1.0])
@pytest.mark.parametrize("rate_hz", [25, 60, 240, 1000])
def test_the_ring_is_long_enough_at_any_rate(rate_hz, period_s):
    step_ns = round(1e9 / rate_hz)
    for steps in (2, 4):
        history = History(steps, period_s)
        count = round((steps + 2) * period_s * rate_hz) + 3
        seen = [history.push(T0 + k * step_ns, k * step_ns / 1e9) for k in range(count)]
        if step_ns <= period_s * 1e9:
            assert seen[-1] is not None
            np.testing.assert_allclose(np.diff(seen[-1]), period_s, atol=1 / rate_hz)


def test_a_clock_that_creeps_fills_no_memory():
    history = History(2, 0.04)
    for k in range(10_000):
        assert history.push(T0 + k, k) is None
    assert len(history._ring) < 100
    assert history.unseen == 10_000


def test_an_instant_that_was_not_seen_is_refused_and_counted():
    history = History(2, 0.04)
    seen = [history.push(T0 + ms * MS, ms) for ms in (0, 40, 160, 200, 221, 260)]
    assert seen == [None, [0, 40], None, [160, 200], [200, 221], [221, 260]]
    assert history.unseen == 2


def test_each_bag_is_aligned_with_its_own_latencies(robot, tmp_path):
    prompt, late = filming(robot, 25), filming(robot, 25, latency_s=0.05)
    bags = [
        write(tmp_path / "prompt", prompt, np.arange(10, 1000, 40)),
        write(tmp_path / "late", late, np.arange(10, 1000, 40), late_ms=50),
    ]
    data = load_dataset(bags, prompt, policy(robot, 2), tmp_path / "cache")
    one, two = (data.state[first:end] for first, end in zip(data.starts, data.starts[1:], strict=False))
    np.testing.assert_allclose(one, two, atol=1e-6)
    np.testing.assert_array_equal(*np.split(data.stamps, 2))
    done = export(bags, tmp_path / "set")
    assert (done.episodes, done.frames) == (2, 2 * len(one))
    for folder, bag in zip(sorted(import_dataset(tmp_path / "set", tmp_path / "back").folders), bags, strict=True):
        np.testing.assert_allclose(positions(folder), positions(bag), atol=1e-6)


def other_joint(robot):
    joint = replace(robot.arms[0].joints[0], name="left_hip")
    return replace(robot, arms=(replace(robot.arms[0], joints=(joint, *robot.arms[0].joints[1:])), robot.arms[1]))


def other_order(robot):
    return replace(robot, arms=robot.arms[::-1])


def other_size(robot):
    return replace(robot, cameras=(replace(robot.cameras[0], observation_width=9), *robot.cameras[1:]))


OTHERS = {
    "left_hip": (other_joint, "joint left_hip instead of joint left_waist"),
    "order": (other_order, "joint right_waist, .* in this order"),
    "size": (other_size, r"camera overview \(9 x 8 px\) instead of camera overview \(8 x 8 px\)"),
    "camera": (lambda robot: replace(robot, cameras=robot.cameras[:2]), "nothing instead of camera wrist_right"),
    "action": (lambda robot: replace(robot, action_period_s=0.05), r"action period 0\.05 s instead of action period"),
    "control": (lambda robot: replace(robot, control_period_s=0.02), r"control period 0\.02 s instead of control"),
}


@pytest.fixture(scope="module")
def mixed(robot, tmp_path_factory):
    """Bags of a robot, of the same with other latency, limits and name, and of others."""
    folder = tmp_path_factory.mktemp("mixed") / "bags"
    robot = filming(robot, 25)
    like = replace(filming(robot, 25, latency_s=0.01), name="station_2")
    for name, (change, _) in OTHERS.items():
        write(folder / "x" / f"of_another_{name}", change(robot), np.arange(10, 1000, 40))
    write(folder / "x" / "first", robot, np.arange(10, 1000, 40))
    write(folder / "x" / "like", like, np.arange(10, 1000, 40))
    return folder


def test_bags_of_other_robots_are_skipped_with_the_reason(mixed, robot, tmp_path):
    robot = filming(robot, 25)
    data = load_dataset(sorted((mixed / "x").iterdir()), robot, policy(robot, 1), tmp_path)
    assert len(data.starts) - 1 == 2
    skipped = dict(zip(sorted(OTHERS), data.skipped, strict=True))
    for name, (_, reason) in OTHERS.items():
        assert re.search(reason, skipped[name]), skipped[name]


POLICY = """
policy:
  kind: diffusion
  cameras: [overview]
  denoiser: {width: 16, depth: 1}
  encoder: {channels: [4, 8], keypoints: 4, feature: 16}
training: {steps: 1, pairs: 2, held_out: 0.5}
"""


def test_one_bag_of_another_robot_that_comes_first_does_not_decide_for_all(robot, tmp_path):
    robot = filming(robot, 25)
    slow = replace(robot, control_period_s=0.02)
    write(tmp_path / "demos/a/odd", slow, np.arange(10, 1000, 40))
    for name in ("one", "two"):
        write(tmp_path / "demos/b" / name, robot, np.arange(10, 1000, 40))
    (tmp_path / "small.yaml").write_text(POLICY)
    with pytest.raises(BagError, match=r"1 bags are of the first robot that was read, .* 2 of another than the one"):
        Training(TrainingJob(tmp_path / "demos", str(tmp_path / "small.yaml"), rejected=True))


def test_the_command_says_which_bags_it_skips(mixed, tmp_path):
    (tmp_path / "small.yaml").write_text(POLICY)
    words = f"train --bags {mixed} --policy small.yaml --out run"
    command = [sys.executable, "-m", "smp_bringup.cli.main", *words.split()]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120).stdout
    assert "2 episodes" in said
    assert f"{len(OTHERS)} bags skipped" in said
    assert "of_another_control" in " ".join(said.split())
    assert "control period 0.02 s instead of" in " ".join(said.split())
