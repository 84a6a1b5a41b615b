"""Makes the bags of this folder: `python tests/replay/make_bags.py`. Nothing in them is random.

two_seconds, told second by second (T0 is the first stamp):
  0.0 s  both arms leave home; joint j of the robot is at home + 0.05 rad * t (grippers stay); its leader is
         20 ms ahead of it. Joint states and leaders come at 100 Hz. Each camera gives a plain image every 40 ms
         whose red value is the frame's number; wrist_left is stamped 5 ms after the overview, wrist_right 3 ms before.
  1.0 s  wrist_right is silent for 200 ms: five frames are missing.
  1.2 s  wrist_right is back.
  1.5 s  one joint state of the left arm is not a number, and one overview frame is stamped an hour ahead.
  2.0 s  the end; labelled a success of "press both buttons".

The robot is that of robot.yaml beside this file, so that the bags stay as they are when config/robots changes.
"""

import shutil
from pathlib import Path

import numpy as np

from smp_bringup.bag.messages import IMAGE, JOINT_STATE, image_cdr, joint_state_cdr
from smp_bringup.bag.writer import BagWriter
from smp_bringup.robot import load_robot

T0 = 1_700_000_000_000_000_000
MS = 1_000_000
SPEED = 0.05
LEAD_MS = 20
SHIFT_MS = {"overview": 0, "wrist_left": 5, "wrist_right": -3}
ROBOT = Path(__file__).parent / "robot.yaml"
BAGS = Path(__file__).parent / "bags"


def position(robot, ms):
    """Return joint positions (J,) at a time after T0."""
    moving = np.array([not joint.gripper for joint in robot.joints])
    return robot.joint_array("home") + SPEED * (ms / 1e3) * moving


def two_seconds(folder):
    """Write the bag."""
    robot = load_robot(str(ROBOT))
    writer = BagWriter(folder, robot, "press both buttons")
    for ms in range(0, 2001, 10):
        for arm in robot.arms:
            _joints(writer, robot, arm, ms)
        if ms % 40 == 0:
            for camera in robot.cameras:
                _image(writer, camera, ms)
    writer.close(True)


def _joints(writer, robot, arm, ms):
    names, part = tuple(j.name for j in arm.joints), robot.arm_slices[arm.name]
    now, measured = T0 + ms * MS, position(robot, ms)[part]
    if ms == 1500 and arm.name == "left":
        measured[2] = np.nan
    writer.write(arm.state_topic, JOINT_STATE, now, joint_state_cdr(now, names, measured))
    leader = position(robot, ms + LEAD_MS)[part]
    writer.write(arm.leader_topic, JOINT_STATE, now, joint_state_cdr(now, names, leader))


def _image(writer, camera, ms):
    if camera.name == "wrist_right" and 1000 <= ms < 1200:
        return
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    image[:, :, 0] = ms // 40
    now = T0 + ms * MS
    if ms == 1520 and camera.name == "overview":
        hour = 3_600_000 * MS
        writer.write(camera.topic, IMAGE, now, image_cdr(now + hour, camera.name, image))
    stamp = now + SHIFT_MS[camera.name] * MS
    writer.write(camera.topic, IMAGE, now, image_cdr(stamp, camera.name, image))


if __name__ == "__main__":
    shutil.rmtree(BAGS, ignore_errors=True)
    two_seconds(BAGS / "two_seconds")
