"""Robots unlike the shipped one, and demonstrations of them: one arm, no gripper, joints that slide, any cameras."""

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.bag.messages import IMAGE, JOINT_STATE, image_cdr, joint_state_cdr
from smp_bringup.bag.writer import BagWriter
from smp_bringup.camera import Camera
from smp_bringup.joints import Joint
from smp_bringup.robot import Robot
from smp_bringup.safety.config import load_safety, safety_of

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
SIZES = ((64, 48, 32, 24), (40, 40, 40, 40), (80, 60, 16, 12), (32, 32, 16, 16), (48, 64, 24, 32))
"""Width and height of a camera, and of what a policy sees of it."""


def cameras(*names):
    """Return cameras of these names, each of another size."""
    return tuple(
        Camera(name, f"/{name}/image", w, h, 25, observation_width=ow, observation_height=oh)
        for name, (w, h, ow, oh) in zip(names, SIZES, strict=False)
    )


def arm(name, *joints):
    return Arm(name, f"/{name}/state", f"/{name}/command", joints, leader_topic=f"/{name}/leader")


def turning(name, count, velocity=3.0):
    return [Joint(f"{name}_{k}", -2.5, 2.5, velocity, 20.0, 400.0) for k in range(count)]


def robot(*arms, seen=("front",), name="other"):
    return Robot(name, 0.01, 0.04, 100, arms, cameras(*seen))


def six(*seen):
    """One arm of six joints that turn, without a gripper."""
    return robot(arm("arm", *turning("joint", 6)), seen=seen or ("front",), name="six")


def railed(*seen, velocity=1.0):
    """One arm of five joints on a rail, without a gripper."""
    rail = Joint("rail", -0.8, 0.8, velocity, 4.0, 80.0, prismatic=True)
    return robot(arm("arm", rail, *turning("joint", 5)), seen=seen or ("top", "side"), name="railed")


def swing(robot, ms, seed, reach=1.0):
    """Return where the leaders want the joints (J,): a slow wave of its own each, grippers and rails in m."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, robot.dof)
    size = np.where(robot.turning, 0.3, np.where([j.gripper for j in robot.joints], 0.004, 0.15))
    return robot.joint_array("home") + reach * size * (np.sin(ms / 500 + phase) - np.sin(phase))


def demonstrate(folder, robot, seed=0, length_ms=2400, spoil=lambda ms, position: position):
    """Write a demonstration in which the arms are 20 ms behind their leaders; `spoil` may change what is measured."""
    rng, writer = np.random.default_rng(seed), BagWriter(folder, robot, "reach", load_safety(safety_of(robot)))
    for ms in range(0, length_ms, 10):
        at, now = T0 + ms * MS, T0 + (ms + 5) * MS
        said = (
            (robot.state_topics, spoil(ms, swing(robot, ms - 20, seed))),
            (robot.operator_topics, swing(robot, ms, seed)),
            (robot.command_topics, swing(robot, ms - 10, seed)),
        )
        for topics, position in said:
            for joints in topics:
                cdr = joint_state_cdr(at, joints.names, joints.positions(position))
                writer.write(joints.topic, JOINT_STATE, now, cdr)
        for camera in robot.cameras if ms % 40 == 0 else ():
            image = rng.integers(0, 256, (camera.height, camera.width, 3), np.uint8)
            writer.write(camera.topic, IMAGE, now, image_cdr(at, camera.name, image))
    return writer.close(True)
