"""Links and joints of a URDF or an MJCF, against MuJoCo's own reading of the published ALOHA and of small robots."""

import importlib.util
from pathlib import Path

import mujoco
import numpy as np
import pytest

from smp_bringup.description.frames import Frames
from smp_bringup.description.model import Description
from smp_bringup.description.pose import Pose, along, between, pose_of
from smp_bringup.errors import ConfigError
from smp_bringup.paths import share

URDF = "package://smp_bringup/config/descriptions/aloha.urdf"
LINKS = [f"{side}_link" for side in ("shoulder", "upper_arm", "upper_forearm", "lower_forearm", "wrist", "gripper")]
GRIPPER = """<robot name="g">
  <link name="palm"><visual><geometry><mesh filename="package://nowhere/palm.stl"/></geometry></visual></link>
  <link name="finger"/><link name="thumb"/><link name="nail"/>
  <joint name="close" type="prismatic"><parent link="palm"/><child link="finger"/><origin xyz="0 0 0.1"/>
    <axis xyz="0 1 0"/><limit lower="0" upper="0.04" effort="1" velocity="1"/></joint>
  <joint name="follow" type="prismatic"><parent link="palm"/><child link="thumb"/><axis xyz="0 1 0"/>
    <limit lower="-0.1" upper="0.1" effort="1" velocity="1"/>
    <mimic joint="close" multiplier="-2" offset="0.01"/></joint>
  <joint name="fixed" type="fixed"><parent link="thumb"/><child link="nail"/><origin xyz="0 0 0.5"/></joint>
  <transmission name="t"/><gazebo/>
</robot>"""


@pytest.fixture(scope="module")
def published():
    """The arms of gym-aloha's MJCF, as its authors describe them."""
    assets = Path(importlib.util.find_spec("gym_aloha").origin).parent / "assets"
    return mujoco.MjModel.from_xml_path(str(assets / "bimanual_viperx_transfer_cube.xml"))


def test_the_shipped_description_is_the_published_robot(robot, published, rng):
    description, data = Description(URDF), mujoco.MjData(published)
    for _ in range(50):
        for arm in robot.arms:
            told = {joint.name: rng.uniform(joint.min, joint.max) for joint in arm.joints}
            description.move(told)
            theirs = {name.removeprefix(f"{arm.name}_"): value for name, value in told.items()}
            theirs |= {"left_finger": theirs["gripper"], "right_finger": -theirs.pop("gripper")}
            for name, value in theirs.items():
                data.joint(f"vx300s_{arm.name}/{name}").qpos[0] = value
        mujoco.mj_kinematics(published, data)
        for arm in robot.arms:
            for link in (*LINKS, "left_finger_link", "right_finger_link"):
                pose, body = (
                    description.pose(description.link(f"{arm.name}_{link}")),
                    data.body(f"vx300s_{arm.name}/{link}"),
                )
                np.testing.assert_allclose(pose.position, body.xpos, atol=1e-5)  # the file has pi to six digits
                np.testing.assert_allclose(pose.rotation, body.xmat.reshape(3, 3), atol=1e-5)


def test_an_mjcf_is_read_with_its_meshes(robot):
    spec = importlib.util.find_spec("gym_aloha")
    path = Path(spec.origin).parent / "assets/bimanual_viperx_transfer_cube.xml"
    description = Description(str(path))
    assert not description.urdf
    assert {"vx300s_left/gripper_link", "world"} <= set(description.links)


def test_a_joint_that_mimics_another_follows_it_and_meshes_are_not_needed(tmp_path):
    path = tmp_path / "gripper.urdf"
    path.write_text(GRIPPER)
    description = Description(str(path))
    assert description.links == ("palm", "finger", "thumb", "nail")
    description.move({"close": 0.03, "unknown": 1.0})
    assert description.pose(description.link("finger")).position.tolist() == [0, 0.03, 0.1]
    np.testing.assert_allclose(description.pose(description.link("nail")).position, [0, 0.01 - 0.06, 0.5])
    assert description.text == GRIPPER


def test_links_move_by_what_drivers_say_of_two_robots_of_a_kind(tmp_path):
    path = tmp_path / "gripper.urdf"
    path.write_text(GRIPPER.replace('"close"', '"left_close"'))
    frames = Frames(Description(str(path)))
    assert frames.move({"close": 0.03}, {"right_"}) == []
    moved = {transform.child: transform.pose.position.tolist() for transform in frames.move({"close": 0.03}, {"left_"})}
    assert moved["finger"] == [0, 0.03, 0.1]
    assert set(moved) == {"finger", "thumb"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "robot.urdf' does not exist"),
        ("<robot", "cannot be read"),
        ("<sdf/>", "begins with <sdf>, expected <robot>"),
        (GRIPPER.replace('child link="nail"', 'child link="mail"'), "parent or child"),
        (GRIPPER.replace("<gazebo/>", '<x:macro xmlns:x="http://www.ros.org/wiki/xacro"/>'), "run xacro robot.urdf"),
    ],
)
def test_what_is_no_description_is_refused_in_one_line(tmp_path, text, said):
    path = tmp_path / "robot.urdf"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        Description(str(path))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unknown_links_joints_and_packages_are_named():
    description = Description(URDF)
    with pytest.raises(ConfigError, match="no link 'left_tipp' \\(did you mean 'left_tip'"):
        description.link("left_tipp")
    with pytest.raises(ConfigError, match="no joint 'left_wait' that turns or slides"):
        description.places(["left_wait"])
    with pytest.raises(ConfigError, match="no package 'nobody_description' is found"):
        Description("package://nobody_description/urdf/x.urdf")


def test_a_package_of_a_sourced_workspace_is_found(tmp_path, monkeypatch):
    (tmp_path / "share/ament_index/resource_index/packages").mkdir(parents=True)
    (tmp_path / "share/ament_index/resource_index/packages/my_robot").touch()
    (tmp_path / "share/my_robot/urdf").mkdir(parents=True)
    (tmp_path / "share/my_robot/urdf/g.urdf").write_text(GRIPPER)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    assert Description("package://my_robot/urdf/g.urdf").joints == ("close", "follow")


def test_a_description_is_found_from_the_robot_file_on(robot, tmp_path):
    from smp_bringup import config
    from smp_bringup.robot import load_robot

    (tmp_path / "robots").mkdir()
    path = tmp_path / "robots/mine.yaml"
    path.write_text(share("config", "robots", "aloha.yaml").read_text() + "\ndescription: ../g.urdf\n")
    mine = load_robot(str(path))
    assert mine.description == str(tmp_path / "g.urdf")
    again = tmp_path / "again.yaml"
    again.write_text(config.dump(mine))  # as a bag carries it
    assert load_robot(str(again)) == mine


def test_a_way_leads_from_one_pose_to_the_other(rng):
    for _ in range(20):
        here, there = (pose_of(rng.normal(size=3), q / np.linalg.norm(q)) for q in rng.normal(size=(2, 4)))
        reached = along(here, between(here, there))
        np.testing.assert_allclose(reached.position, there.position)
        np.testing.assert_allclose(reached.rotation, there.rotation, atol=1e-9)
    with pytest.raises(ValueError, match=r"length 0.5, expected 1"):
        pose_of([0, 0, 0], [0.5, 0, 0, 0])


def test_the_transforms_are_those_of_another_implementation(rng):
    """MuJoCo places the whole robot in one go; here its links are put together from the transforms of each message."""
    frames, whole = Frames(Description(URDF), "commanded/"), Description(URDF)
    told = {name: value for name, value in zip(whole.joints, rng.uniform(-1, 1, len(whole.joints)), strict=True)}
    told = {name: value for name, value in told.items() if "mirror" not in name}
    left = {name: value for name, value in told.items() if name.startswith("left")}
    assert {t.child.split("_")[0] for t in frames.move(left)} == {"commanded/left"}
    tree = {t.child: t for t in (*frames.still(), *frames.move(told))}
    assert set(tree) == {f"commanded/{link}" for link in whole.links}
    whole.move(told)

    def pose(frame):
        if frame == "world":
            return pose_of([0, 0, 0], [1, 0, 0, 0])
        above, here = pose(tree[frame].parent), tree[frame].pose
        return Pose(above.position + above.rotation @ here.position, above.rotation @ here.rotation)

    for link in whole.links:
        np.testing.assert_allclose(pose(f"commanded/{link}").position, whole.pose(whole.link(link)).position, atol=1e-9)
        np.testing.assert_allclose(pose(f"commanded/{link}").rotation, whole.pose(whole.link(link)).rotation, atol=1e-9)


def test_a_link_without_a_joint_that_was_told_of_has_no_transform(tmp_path):
    path = tmp_path / "gripper.urdf"
    path.write_text(GRIPPER)
    frames = Frames(Description(str(path)))
    assert [(t.parent, t.child) for t in frames.still()] == [("thumb", "nail")]
    assert [(t.parent, t.child) for t in frames.move({"close": 0.01})] == [("palm", "finger"), ("palm", "thumb")]
    assert frames.move({"other": 0.01}) == []
