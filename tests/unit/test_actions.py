"""What the numbers of a chunk say: told and heard again, and held against MuJoCo's own kinematics."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

from smp_bringup.errors import ConfigError, ModelError
from smp_bringup.joints import Joint
from smp_bringup.model_joints import ModelJoints
from smp_bringup.observation.actions import CODES, action_code
from smp_bringup.observation.hand_motion import HandMotion, rotation, rotation_vector
from smp_bringup.observation.normalizer import CodedActions, Normalizer
from smp_bringup.policy.build import build_network
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.policy.config import DenoiserConfig, PolicyConfig
from smp_bringup.robot import load_robot
from smp_bringup.sim.mjcf import compiled, robot_spec
from smp_bringup.simulation import load_simulation
from smp_bringup.training.batches import Batches
from smp_bringup.training.config import load_run
from smp_bringup.training.dataset import Dataset
from smp_bringup.training.save import save_checkpoint
from smp_bringup.training.trainer import Trained
from smp_bringup.training.transfer import start_from
from smp_bringup.types import Observation
from tests.other_robots import arm, robot, turning

SHIPPED = ("aloha", "dual_ur5e", "dual_panda", "baxter")
"""Of six joints an arm, and of seven."""
ARM = 0.3
"""How far a measured joint is from home at most [rad]."""


def chunks(robot, rng, count=20, steps=16):
    """Return measured joints (N, J) about home, and smooth chunks (N, T, J) that begin there, within the limits."""
    low, high = robot.joint_array("min"), robot.joint_array("max")
    measured = np.clip(robot.joint_array("home") + rng.uniform(-ARM, ARM, (count, robot.dof)), low, high)
    speed = rng.normal(0, 0.03, (count, 1, robot.dof)) + rng.normal(0, 0.005, (count, steps, robot.dof))
    return measured, np.clip(measured[:, None] + np.cumsum(speed, axis=1), low, high)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_told_is_heard(name, rng):
    body = load_robot(name)
    measured, action = chunks(body, rng)
    told = action_code("relative", body)
    np.testing.assert_allclose(told.decode(told.encode(action, measured), measured), action, atol=1e-12)


def test_a_joint_at_rest_is_told_as_nothing_and_a_gripper_as_where_it_is(rng):
    body = load_robot("aloha")
    measured, _ = chunks(body, rng, 3)
    still = np.repeat(measured[:, None], 16, axis=1)
    grippers = [joint.gripper for joint in body.joints]
    for name in CODES:
        told = action_code(name, body).encode(still, measured)
        np.testing.assert_allclose(told[..., grippers], still[..., grippers])
        np.testing.assert_allclose(told[..., np.logical_not(grippers)], 0, atol=1e-9)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_hand_is_brought_where_it_is_told(name, rng):
    """Where two joints turn about one axis they share a turn as they like: the hand is right, and not each joint."""
    body = load_robot(name)
    measured, action = chunks(body, rng, 40)
    code = action_code("hand", body)
    told = code.encode(action, measured)
    heard = code.decode(told, measured)
    low, high = body.joint_array("min"), body.joint_array("max")
    assert ((heard >= low - 1e-9) & (heard <= high + 1e-9)).all()
    again = np.abs(code.encode(heard, measured) - told).reshape(len(told), -1).max(1)
    assert np.quantile(again, 0.95) < 1e-4
    joints = np.abs(heard - action).reshape(len(told), -1).max(1)
    assert np.median(joints) < 1e-4


@pytest.mark.parametrize("name", SHIPPED)
def test_a_hand_moves_as_mujocos_does(name, rng):
    """The way of a hand is told in its own axes, by MuJoCo's model of the robot, which shares no line with ours."""
    body = load_robot(name)
    simulation = load_simulation(body)
    model = compiled(robot_spec(body, simulation))
    data, joints = mujoco.MjData(model), ModelJoints(model, body, simulation)
    measured, action = chunks(body, rng, 3, 4)
    for one in body.arms:
        if one.is_base or sum(not joint.gripper for joint in one.joints) < 6:
            continue
        motion, part = HandMotion(one), body.arm_slices[one.name]
        last = max(k for k, joint in enumerate(one.joints) if not joint.gripper) + part.start
        told = motion.encode(action[..., part], measured[..., part])

        def hand(position, last=last):
            joints.put(data, position)
            mujoco.mj_kinematics(model, data)
            joint = model.joint(joints.names[last])
            return data.xanchor[joint.id].copy(), data.xmat[joint.bodyid[0]].reshape(3, 3).copy()

        for start, chunk, numbers in zip(measured, action, told, strict=True):
            at_zero = start.copy()
            at_zero[part] = 0.0
            zero = hand(at_zero)[1].T @ _base(one)  # our frames have the base's axes at zero, MuJoCo's have any
            here, axes = hand(start)
            axes = axes @ zero
            for step, wanted in enumerate(numbers):
                position = start.copy()
                position[part] = chunk[step, part]
                there, turned = hand(position)
                turned = turned @ zero
                way = there + turned @ motion.tip - here - axes @ motion.tip
                np.testing.assert_allclose(axes.T @ way, wanted[:3], atol=2e-4)
                np.testing.assert_allclose(rotation_vector(axes.T @ turned), wanted[3:6], atol=2e-3)


def _base(one):
    return (
        rotation(np.array([0, 0, one.base[5]]))
        @ rotation(np.array([0, one.base[4], 0]))
        @ rotation(np.array([one.base[3], 0, 0]))
    )


def test_rotation_vectors_and_rotations_undo_each_other(rng):
    vector = rng.normal(size=(100, 3))
    vector *= (rng.uniform(0, 3.1, 100) / np.linalg.norm(vector, axis=1))[:, None]
    vector[0] = 0
    np.testing.assert_allclose(rotation_vector(rotation(vector)), vector, atol=1e-7)


def test_a_hand_that_cannot_get_there_stays_within_the_limits(rng):
    body = load_robot("aloha")
    measured, action = chunks(body, rng, 2)
    code = action_code("hand", body)
    told = code.encode(action, measured)
    told[..., 0] += 2.0  # two metres on
    heard = code.decode(told, measured)
    assert np.isfinite(heard).all()
    assert (heard >= body.joint_array("min") - 1e-9).all()
    assert (heard <= body.joint_array("max") + 1e-9).all()


def test_arms_that_have_no_pose_to_tell_are_refused_before_anything_is_read():
    with pytest.raises(
        ConfigError, match="arms of robot 'other' move by 5 joints, a hand's pose takes 6: use relative"
    ):
        action_code("hand", robot(arm("one", *turning("j", 5), Joint("grip", 0, 0.05, 0.1, 1, 10, gripper=True))))
    with pytest.raises(ConfigError, match="dual_so101"):
        load_run("sparse", load_robot("dual_so101"), ["policy.actions=hand"])
    with pytest.raises(ConfigError, match="has no geometry"):
        action_code("hand", robot(arm("one", *turning("j", 6))))
    with pytest.raises(ConfigError, match="the basis of SMP is one of joint positions"):
        load_run("smp", load_robot("aloha"), ["policy.actions=relative"])
    with pytest.raises(ConfigError, match="actions must be one of absolute, relative, hand"):
        load_run("sparse", load_robot("aloha"), ["policy.actions=torque"])


def demonstrations(body, rng, frames=12, steps=8):
    measured, action = chunks(body, rng, frames, steps)
    stamps = np.arange(frames) * int(body.action_period_s * 1e9)
    objects = rng.normal(size=(frames, 3)).astype(np.float32)
    foresight, starts = np.zeros((frames, 0, body.dof)), np.array([0, frames])
    return Dataset(body.action_period_s, {}, stamps, measured, objects, action, foresight, starts, (), ("one",))


@pytest.mark.parametrize("code", CODES)
def test_a_batch_tells_the_way_from_where_the_joints_are_told_to_be(code, rng):
    """Joints are told wrong on purpose: what is heard from there must still be what the operator did."""
    body = load_robot("aloha")
    data = demonstrations(body, rng)
    coded = CodedActions.from_data(action_code(code, body), data.action, data.state)
    normalizer = Normalizer.from_data(data.action.reshape(-1, body.dof), actions=coded)
    config = PolicyConfig("diffusion", track="state", horizon=8, foresight_s=(), actions=code, prefix_steps=4)
    off = np.where([joint.gripper for joint in body.joints], 0.0, 0.02)
    batch = Batches(data, normalizer, config, np.arange(1), off).draw(6, rng)
    told = normalizer.denormalise(batch.inputs["state"][:, -1].numpy().astype(float))
    heard = normalizer.denormalise_action(batch.action.numpy().astype(float), told)
    nearest = np.abs(heard[:, None] - data.action[None]).reshape(12, 12, -1).max(2).min(1)
    assert np.median(nearest) < 1e-4
    known = batch.inputs["prefix"][..., -1:].numpy() > 0
    np.testing.assert_array_equal(batch.inputs["prefix"].numpy()[..., :-1] * known, batch.action.numpy()[:, :4] * known)


@pytest.mark.parametrize("code", CODES)
def test_a_checkpoint_keeps_how_its_actions_are_told(code, robot, rng, tmp_path):
    torch.manual_seed(0)
    config = PolicyConfig(
        "diffusion", track="state", horizon=8, actions=code, foresight_s=(), denoiser=DenoiserConfig(width=16, depth=1)
    )
    network = build_network(config, robot.dof, 3)
    measured, action = chunks(robot, rng, 30, 8)
    coded = CodedActions.from_data(action_code(code, robot), action, measured)
    normalizer = Normalizer.from_data(action.reshape(-1, robot.dof), actions=coded)
    folder = tmp_path / "model"
    save_checkpoint(Trained(network, normalizer, {"steps": 0.0}), robot, folder, "# random weights\n")
    policy = load_policy(folder, robot)
    here = Observation(1, {}, measured[:1], np.zeros((1, robot.dof)), np.zeros((1, 3)))
    there = Observation(1, {}, measured[:1] + 0.01, np.zeros((1, robot.dof)), np.zeros((1, 3)))
    chunk, moved = (policy.infer(one, 5)[0].position for one in (here, there))
    assert chunk.shape == (8, robot.dof)
    assert np.isfinite(chunk).all()
    grippers = [joint.gripper for joint in robot.joints]
    assert np.abs(moved - chunk)[..., np.logical_not(grippers)].max() > 1e-3  # it starts from where the joints are
    prefix = action[0, :3]
    held, _ = policy.infer(here, 5, prefix)
    np.testing.assert_allclose(held.position[:3], prefix, atol=1e-6)


def test_a_hand_of_another_geometry_and_other_actions_are_refused(robot, rng, tmp_path):
    config = PolicyConfig(
        "diffusion",
        track="state",
        horizon=8,
        actions="hand",
        foresight_s=(),
        denoiser=DenoiserConfig(width=16, depth=1),
    )
    measured, action = chunks(robot, rng, 30, 8)
    coded = CodedActions.from_data(action_code("hand", robot), action, measured)
    normalizer = Normalizer.from_data(action.reshape(-1, robot.dof), actions=coded)
    arms = tuple(replace(one, geometry=load_robot("dual_ur5e").arms[0].geometry) for one in robot.arms)
    network = build_network(config, robot.dof, 3)
    save_checkpoint(Trained(network, normalizer, {"steps": 0.0}), robot, tmp_path / "model", "# random weights\n")
    with pytest.raises(ModelError, match=r"tells actions as hand, not relative: leave policy\.actions out"):
        start_from(tmp_path / "model", load_run("diffusion", robot, ["policy.actions=relative"]), robot, False)
    with pytest.raises(
        ModelError, match="the geometry of arm 'left' is not the one that the policy's hand was trained"
    ):
        load_policy(tmp_path / "model", replace(robot, arms=arms))
    for broken in (None, {}, {"hands": 3}, {"hands": {}}):
        with pytest.raises(ModelError):
            CodedActions.from_dict(broken, robot.dof, coded.code)
