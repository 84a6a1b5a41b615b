"""Geometry out of a description: capsules against MuJoCo's own distances of the shapes, at random poses."""

import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import mujoco
import numpy as np
import pytest
from typer.testing import CliRunner

from smp_bringup import config
from smp_bringup.arm import Arm
from smp_bringup.body import Body, segment_distance
from smp_bringup.cli.app import app
from smp_bringup.commission.files import check_file
from smp_bringup.commission.finding import Level
from smp_bringup.description.arm_geometry import arm_geometries
from smp_bringup.description.capsules import shapes
from smp_bringup.description.model import Description
from smp_bringup.description.sweep import swept
from smp_bringup.errors import ConfigError, OutputError
from smp_bringup.joints import DriverJoint, Joint
from smp_bringup.pipeline import build_command
from smp_bringup.robot import load_robot
from smp_bringup.safety.command import CommandCore
from smp_bringup.safety.config import load_safety

SHAPES = {
    "shoulder": '<box size="0.12 0.08 0.1"/>',
    "upper": '<cylinder radius="0.05" length="0.3"/>',
    "fore": '<box size="0.06 0.05 0.4"/>',
    "palm": '<sphere radius="0.05"/>',
    "finger": '<box size="0.02 0.01 0.1"/>',
    "thumb": '<box size="0.02 0.01 0.1"/>',
}
LIMIT = '<limit lower="-2" upper="2" effort="1" velocity="1"/>'


def joint(kind, name, parent, child, origin, axis="0 0 1", more=LIMIT):
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/><origin {origin}/>'
        f'<axis xyz="{axis}"/>{more}</joint>'
    )


def side(name, y, turn):
    """Return links and joints of one arm on the torso: frames that are turned, shapes that are set off."""
    links = "".join(
        f'<link name="{name}_{link}"><collision><origin xyz="0.02 0 0.15" rpy="0.1 0.2 0.3"/>'
        f"<geometry>{shape}</geometry></collision></link>"
        for link, shape in SHAPES.items()
    )
    joints = [
        joint("revolute", f"{name}_1", "torso", f"{name}_shoulder", f'xyz="0.1 {y} 0.3" rpy="0 {turn} 0.4"'),
        joint("revolute", f"{name}_2", f"{name}_shoulder", f"{name}_upper", 'xyz="0 0 0.3" rpy="1.2 0 0"', "0 1 0"),
        joint("revolute", f"{name}_3", f"{name}_upper", f"{name}_fore", 'xyz="0 0 0.4" rpy="0 0.7 0"', "1 0 0"),
        joint("fixed", f"{name}_mount", f"{name}_fore", f"{name}_palm", 'xyz="0 0 0.35" rpy="0.5 0 0"', more=""),
        joint(
            "revolute",
            f"{name}_knuckle",
            f"{name}_palm",
            f"{name}_finger",
            'xyz="0.05 0 0.1"',
            "0 1 0",
            '<limit lower="0" upper="0.8" effort="1" velocity="1"/>',
        ),
        joint(
            "revolute",
            f"{name}_follower",
            f"{name}_palm",
            f"{name}_thumb",
            'xyz="-0.05 0 0.1"',
            "0 1 0",
            f'{LIMIT}<mimic joint="{name}_knuckle" multiplier="-1"/>',
        ),
    ]
    return links + "".join(joints)


URDF = (
    '<robot name="torso"><link name="column"/>'
    '<link name="torso"><collision><geometry><box size="0.2 0.3 0.3"/></geometry></collision></link>'
    '<link name="head"><collision><origin xyz="0 0 0.4"/><geometry><sphere radius="0.1"/></geometry></collision></link>'
    + '<link name="table"><collision><geometry><box size="1 1 0.1"/></geometry></collision></link>'
    + joint("fixed", "stand", "column", "table", 'xyz="1 0 0"', more="")
    + joint("prismatic", "lift", "column", "torso", 'xyz="0 0 0.5" rpy="0 0 0.2"')
    + joint("revolute", "neck", "torso", "head", 'xyz="0 0 0.2"')
    + side("left", 0.3, 0.5)
    + side("right", -0.3, -0.5)
    + "</robot>"
)


def turning(name):
    return Joint(name, -2, 2, 1, 1, 1)


def hand(name, carried_by=""):
    grip = Joint(f"{name}_hand", 0, 0.08, 0.1, 1, 10, gripper=True, driver=DriverJoint(f"{name}_knuckle", 0.8, 0.0))
    return Arm(f"{name}_hand", f"/{name}_hand/states", f"/{name}_hand/command", (grip,), carried_by=carried_by)


@pytest.fixture(scope="module")
def torso_robot(robot, tmp_path_factory):
    """A lift that carries two arms, each of which carries a hand; none of their names are the shipped robot's."""
    path = tmp_path_factory.mktemp("torso") / "torso.urdf"
    path.write_text(URDF)
    lift = Arm("lift", "/lift/states", "/lift/command", (Joint("lift", -0.3, 0.3, 0.5, 1, 10, prismatic=True),))
    arms = [
        Arm(name, f"/{name}/states", f"/{name}/command", tuple(turning(f"{name}_{k}") for k in (1, 2, 3)))
        for name in ("left", "right")
    ]
    cameras = tuple(replace(camera, arm="") for camera in robot.cameras)
    arms = (*arms, hand("left"), lift, hand("right"))
    return replace(robot, arms=arms, cameras=cameras, simulation="", description=str(path))


@pytest.fixture(scope="module")
def with_geometry(torso_robot, tmp_path_factory):
    return shaped(torso_robot, tmp_path_factory.mktemp("shapes"))


def shaped(robot, folder):
    """Return a robot with the geometry of its description, written to files and read again."""
    arms = []
    for arm, found in zip(robot.arms, arm_geometries(robot).placed, strict=True):
        path = folder / f"{arm.name}.yaml"
        path.write_text(config.dump(found.geometry))
        arms.append(replace(arm, geometry=str(path), base=found.base, carried_by=found.carried_by))
    return replace(robot, arms=tuple(arms))


def with_knuckles(robot):
    """Return a robot whose hands are told the angle of the knuckle, which a thumb follows."""
    knuckle = {name: Joint(f"{name}_knuckle", 0, 0.8, 1, 1, 1) for name in ("left", "right")}
    hands = {f"{name}_hand": replace(hand(name), joints=(joint,)) for name, joint in knuckle.items()}
    return replace(robot, arms=tuple(hands.get(arm.name, arm) for arm in robot.arms))


def posed(robot, description, position):
    told = dict(zip(robot.joint_names, position, strict=True))
    for arm in robot.arms:
        for own in arm.joints:
            if own.gripper:
                told[own.driver.name] = 0.8 - told.pop(own.name) / own.max * 0.8
    description.move(told)
    data = mujoco.MjData(description.model)
    data.qpos[:] = description.position
    mujoco.mj_forward(description.model, data)
    return data


def test_shapes_are_nowhere_nearer_than_their_capsules(with_geometry, rng):
    """Kinematics, who carries whom, fingers wherever they are, and the capsules around the shapes, all at once."""
    description = Description(with_geometry.description, shapes=True)
    body, model = Body(with_geometry, 1), description.model
    links = [name.split(" ", 1)[1] for name in body.names]
    geoms = {model.body(i).name: int(model.body_geomadr[i]) for i in range(model.nbody) if model.body_geomnum[i]}
    low, high = with_geometry.joint_array("min"), with_geometry.joint_array("max")
    seen, loose = 0, []
    for position in rng.uniform(low, high, (40, with_geometry.dof)):
        data, distance = posed(with_geometry, description, position), body.distances(position[None])[0]
        for one, other in combinations(geoms, 2):
            capsules = [
                d
                for d, i, j in zip(distance, body.first, body.second, strict=True)
                if {links[i].rsplit("_part", 1)[0], links[j].rsplit("_part", 1)[0]} == {one, other}
            ]
            if capsules:
                true = mujoco.mj_geomDistance(model, data, geoms[one], geoms[other], 10.0, None)
                assert min(capsules) <= true + 1e-5, (one, other)
                seen, loose = seen + 1, [*loose, true - min(capsules)]
    assert seen > 1000
    assert np.median(loose) < 0.05, "they are not much larger either"


def touching(model, data, arms):
    """Return whether shapes of the two arms touch, by MuJoCo's own distances."""
    left, right = ([i for i in range(model.ngeom) if model.body(model.geom_bodyid[i]).name.startswith(a)] for a in arms)
    return min(mujoco.mj_geomDistance(model, data, a, b, 0.1, None) for a in left for b in right) <= 0


def test_arms_driven_into_each_other_at_full_speed_never_touch(with_geometry, rng, drive):
    """Judged from the setpoints by MuJoCo, not by the capsules."""
    checks = tuple(name for name in load_safety("default").checks if name != "workspace")
    config = replace(load_safety("default"), checks=checks, ramp_in_s=0.01, stop_distance=0.01)
    robot, description = with_geometry, Description(with_geometry.description, shapes=True)
    body = Body(robot, config.self_gap)
    low, high, stopped = robot.joint_array("min"), robot.joint_array("max"), 0
    for _ in range(6):
        poses = rng.uniform(low, high, (400, robot.dof))
        apart = body.distances(poses)[:, body.across].min(axis=1)
        start, goal = poses[apart.argmax()], poses[apart.argmin()]
        travel_s = (np.abs(goal - start) / robot.joint_array("velocity")).max() / 0.9
        cycles = int(travel_s / robot.control_period_s) + 50
        for output in drive(CommandCore(robot, config), robot, start, goal, travel_s, cycles):
            data = posed(robot, description, output.command.position)
            assert not touching(description.model, data, ("left", "right"))
        stopped += output.verdict.check in ("arm_distance", "source_near")
    assert stopped > 3, "all goals are poses in which the arms reach into each other"


def test_what_a_lift_carries_does_not_meet_by_lifting_and_what_stands_may(with_geometry):
    body = Body(with_geometry, 2)
    lifted = np.zeros(with_geometry.dof)
    lifted[with_geometry.joint_names.index("lift")] = 0.1
    assert not body.pair_travel(lifted).any()
    assert body.hand_names == ["left_hand", "right_hand"]
    np.testing.assert_allclose(body.hand_travel(lifted), 0.1)
    hands = body.hands(np.stack([lifted * 0, lifted]))
    for ends in hands:
        np.testing.assert_allclose(ends[1] - ends[0], np.broadcast_to([0, 0, 0.1], ends[0].shape), atol=1e-9)


def test_an_arm_has_a_hand_unless_its_last_link_carries_another(with_geometry):
    left, right, *_ = with_geometry.arms
    for joint, hands in (("left_1", ["left", "right"]), ("left_3", ["right"])):
        arms = (replace(left, carried_by=""), replace(right, carried_by=joint))
        assert Body(replace(with_geometry, arms=arms), 2).hand_names == hands


def test_what_slides_may_meet_what_stands(with_geometry):
    """Two lifts side by side: each has one joint, and shoulders that turn are not looked at."""
    lift = with_geometry.arm("lift")
    other = replace(lift, name="other", joints=(replace(lift.joints[0], name="other"),), base=(1.0, 0, 0, 0, 0, 0))
    topics = {"state_topic": "/other/states", "command_topic": "/other/command"}
    body = Body(replace(with_geometry, arms=(lift, replace(other, **topics))), 3)
    assert body.across.any()


def test_nothing_moves_farther_than_is_said(with_geometry, rng):
    body = Body(with_geometry, 1)
    low, high = with_geometry.joint_array("min"), with_geometry.joint_array("max")
    for _ in range(50):
        first = rng.uniform(low, high)
        second = np.clip(first + rng.uniform(-0.2, 0.2, len(low)), low, high)
        change = np.abs(np.diff(body.distances(np.stack([first, second])), axis=0))[0]
        assert (change <= body.pair_travel(np.abs(second - first)) + 1e-9).all()


def test_what_is_not_looked_at_as_it_is_is_named(torso_robot):
    found = arm_geometries(torso_robot)
    assert found.left_out == ("table",)
    assert found.frozen == ("neck",), "the head goes with the lift as if its neck stood at zero"
    assert [placed.carried_by for placed in found.placed] == ["lift", "lift", "left_3", "", "right_3"]


def with_fingers(robot):
    """Return a robot whose hands have two driven fingers: one of two hinges, the other of a hinge and a slide."""
    text = URDF
    for name in ("left", "right"):
        text = text.replace(f'{LIMIT}<mimic joint="{name}_knuckle" multiplier="-1"/>', LIMIT.replace('"2"', '"0.5"'))
        tip = f'<link name="{name}_tip"><collision><geometry><box size="0.02 0.01 0.06"/></geometry></collision></link>'
        bend = joint("revolute", f"{name}_bend", f"{name}_finger", f"{name}_tip", 'xyz="0.01 0 0.3"', "1 0 0")
        end = f'<link name="{name}_end"><collision><geometry><sphere radius="0.02"/></geometry></collision></link>'
        slide = LIMIT.replace("-2", "0").replace('"2"', '"0.05"')
        push = joint("prismatic", f"{name}_push", f"{name}_thumb", f"{name}_end", 'xyz="0 0 0.2"', "0 0 1", slide)
        text = text.replace("</robot>", f"{tip}{bend}{end}{push}</robot>")
    path = Path(robot.description).with_name("fingers.urdf")
    path.write_text(text)
    hands = {}
    for name in ("left", "right"):
        joints = (Joint(f"{name}_knuckle", 0, 0.8, 1, 1, 1), turning(f"{name}_bend"))
        joints += (Joint(f"{name}_follower", -2, 0.5, 1, 1, 1), Joint(f"{name}_push", 0, 0.05, 1, 1, 1, prismatic=True))
        hands[f"{name}_hand"] = replace(hand(name), joints=joints)
    return replace(robot, arms=tuple(hands.get(arm.name, arm) for arm in robot.arms), description=str(path))


@pytest.mark.parametrize("hands", [lambda robot: robot, with_knuckles, with_fingers])
def test_every_point_of_a_shape_is_inside_a_capsule_wherever_the_joints_are(hands, torso_robot, tmp_path, rng):
    """Points inside, not corners alone: also of what sweeps, fingers and what follows a knuckle."""
    with_geometry = shaped(hands(torso_robot), tmp_path)
    description = Description(with_geometry.description, shapes=True)
    body, model = Body(with_geometry, 1), description.model
    capsules = [capsule for arm in body.arms for capsule in arm.capsules]
    low, high = with_geometry.joint_array("min"), with_geometry.joint_array("max")
    links = {name: model.body(name).id for name in description.links if name not in ("table", "column")}
    for position in rng.uniform(low, high, (20, with_geometry.dof)):
        data, ends = posed(with_geometry, description, position), body.segments(position[None])[0]
        for link, number in links.items():
            for shape in shapes(model, number):
                weights = rng.dirichlet(np.full(len(shape.points), 0.3), 200)
                points = weights @ shape.points @ data.xmat[number].reshape(3, 3).T + data.xpos[number]
                mine = [i for i, each in enumerate(capsules) if each.name.rsplit("_part", 1)[0] == link]
                gaps = [
                    segment_distance(np.stack([points, points], axis=1), np.broadcast_to(ends[i], (len(points), 2, 3)))
                    - capsules[i].radius
                    for i in mine
                ]
                assert np.min(gaps, axis=0).max() + shape.radius < 1e-9, link


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"description": ""}, "has no description"),
        (
            {"arms": lambda arms: (replace(arms[0], joints=arms[0].joints + arms[1].joints),)},
            "'right_1' is not moved by",
        ),
        ({"arms": lambda arms: (replace(arms[0], joints=arms[0].joints[::-1]),)}, "'left_2' is not moved by"),
        ({"arms": lambda arms: (replace(arms[0], joints=(*arms[2].joints, *arms[0].joints)),)}, "stands before joints"),
        ({"arms": lambda arms: (replace(arms[0], joints=(turning("left_9"),)),)}, "no joint 'left_9'"),
        ({"arms": lambda arms: (replace(arms[0], joints=(replace(turning("left_1"), prismatic=True),)),)}, "turns"),
    ],
)
def test_what_a_description_does_not_say_is_refused(torso_robot, change, said):
    change = {key: value(torso_robot.arms) if callable(value) else value for key, value in change.items()}
    with pytest.raises(ConfigError, match=said):
        arm_geometries(replace(torso_robot, **change))


def test_a_new_robot_has_the_shapes_of_its_description(tmp_path):
    (tmp_path / "torso.urdf").write_text(URDF)
    words = ["robot", "new", "--urdf", str(tmp_path / "torso.urdf"), "--out", str(tmp_path / "new"), "--yes"]
    arms = [f"--arm={name}={','.join(f'{name}_{k}' for k in (1, 2, 3))}" for name in ("left", "right")]
    done = CliRunner().invoke(app, [*words, *arms, "--arm=lift=lift", "--camera", "top=top/image_raw"])
    assert done.exit_code == 0, done.output
    assert "does not look at what stands still: table" in " ".join(done.output.split())
    robot = load_robot(str(tmp_path / "new" / "robot.yaml"))
    assert {arm.name: arm.carried_by for arm in robot.arms} == {"left": "lift", "right": "lift", "lift": ""}
    core = build_command(robot, robot.safety)
    assert core.left_out[0] == "workspace"
    assert not any("right" in pair and "left" in pair for pair in core.left_out), "arms are apart at home"


def test_a_mesh_that_is_missing_or_of_another_kind_is_named(torso_robot, tmp_path):
    path = tmp_path / "torso.urdf"
    for name, said in (("package://nowhere/hand.stl", "nowhere"), ("hand.ply", "convert it"), ("no.stl", "not exist")):
        (tmp_path / "hand.ply").touch()
        path.write_text(URDF.replace('<sphere radius="0.05"/>', f'<mesh filename="{name}"/>'))
        with pytest.raises(ConfigError, match=said):
            Description(str(path), shapes=True)


def test_what_carries_an_arm_is_a_joint_of_another(torso_robot):
    left, _, _, lift, _ = torso_robot.arms
    with pytest.raises(ConfigError, match=r"'left' is carried by 'lifd', .* \(did you mean 'lift'\?\)"):
        replace(torso_robot, arms=(lift, replace(left, carried_by="lifd")))
    with pytest.raises(ConfigError, match="'left' is carried by 'left_2', which is no joint of another"):
        replace(torso_robot, arms=(lift, replace(left, carried_by="left_2")))
    with pytest.raises(ConfigError, match="'lift' is carried by 'left_3', which it carries itself"):
        replace(torso_robot, arms=(replace(lift, carried_by="left_3"), replace(left, carried_by="lift")))


def test_links_without_shapes_are_named_and_arms_without_any_are_refused(torso_robot, tmp_path):
    visual = '<visual><geometry><sphere radius="0.05"/></geometry></visual>'

    def bare(text, link):
        begin = text.index(f'<link name="{link}"><collision>')
        end = text.index("</link>", begin)
        return f'{text[:begin]}<link name="{link}">{visual}{text[end:]}'

    path = tmp_path / "torso.urdf"
    path.write_text(bare(URDF, "left_upper"))
    found = arm_geometries(replace(torso_robot, description=str(path)))
    assert found.bare == ("left_upper",)
    assert "left_upper" not in [capsule.name for capsule in found.placed[0].geometry.capsules]
    text = URDF
    for link in SHAPES:
        text = bare(text, f"left_{link}")
    path.write_text(text)
    alone = tuple(arm for arm in torso_robot.arms if arm.name in ("left", "right"))  # the torso stands
    for arms in (torso_robot.arms, alone):
        with pytest.raises(ConfigError, match="no link that arm 'left' moves has a collision shape"):
            arm_geometries(replace(torso_robot, arms=arms, description=str(path)))


def test_a_mesh_in_millimetres_is_named_by_its_link(torso_robot, tmp_path):
    path = tmp_path / "torso.urdf"
    path.write_text(URDF.replace('<box size="0.06 0.05 0.4"/>', '<box size="60 50 400"/>', 1))
    with pytest.raises(ConfigError, match=r"'left_fore' is \d+ m large: a mesh in mm takes scale="):
        arm_geometries(replace(torso_robot, description=str(path)))


def test_a_finger_of_several_joints_is_inside_of_what_it_sweeps_between_the_poses_looked_at(tmp_path, rng):
    """Seen from any side, the farthest point of any pose is no farther than what is taken; the arcs are needed."""
    names = [f"bend_{k}" for k in range(4)]
    links = "".join(f'<link name="link_{k}"/>' for k in range(4))
    tip = '<link name="link_4"><collision><geometry><box size="0.02 0.02 0.2"/></geometry></collision></link>'
    bends = (
        joint("revolute", name, f"link_{k}", f"link_{k + 1}", 'xyz="0 0 0.1"', "0 1 0") for k, name in enumerate(names)
    )
    path = tmp_path / "finger.urdf"
    path.write_text(f'<robot name="finger">{links}{tip}{"".join(bends)}</robot>')
    description, ranges = Description(str(path), shapes=True), dict.fromkeys(names, (-2.0, 2.0))
    number = description.link("link_4")
    (shape,) = shapes(description.model, number)
    found = swept(description, ranges, "link_4", shape)
    sides = rng.normal(size=(300, 3)) * [1, 0.1, 1]
    sides /= np.linalg.norm(sides, axis=1, keepdims=True)
    taken, true = (found.points @ sides.T).max(axis=0), np.full(len(sides), -np.inf)
    for told in np.concatenate([rng.uniform(-2, 2, (2000, 4)), rng.uniform(-0.5, 0.5, (2000, 4))]):
        description.move(dict(zip(names, told.tolist(), strict=True)))
        pose = description.pose(number)
        true = np.maximum(true, ((shape.points @ pose.rotation.T + pose.position) @ sides.T).max(axis=0))
    assert (true <= taken + found.radius).all()
    assert (true > taken + 1e-3).any()


def test_shapes_are_made_anew_for_a_robot_file_that_was_changed_by_hand(tmp_path):
    """A knuckle becomes a gripper in m, as docs/your_robot.md says: its shapes no longer fit."""
    (tmp_path / "torso.urdf").write_text(URDF)
    path = tmp_path / "new" / "robot.yaml"
    words = ["robot", "new", "--urdf", str(tmp_path / "torso.urdf"), "--out", str(path.parent), "--yes"]
    arms = [f"--arm={name}={','.join(f'{name}_{k}' for k in (1, 2, 3))}" for name in ("left", "right")]
    hands = [f"--arm={name}_hand={name}_knuckle" for name in ("left", "right")]
    done = CliRunner().invoke(app, [*words, *arms, *hands, "--camera", "top=top/image_raw"])
    assert done.exit_code == 0, done.output
    hand_joint = "gripper: true, min: 0, max: 0.08, home: 0, driver: {min: 0.8, max: 0}, velocity: 0.1"
    changed = re.sub(r"(name: \w+_knuckle), min.*?velocity: 1.0", rf"\1, {hand_joint}", path.read_text())
    path.write_text(changed.replace("base: [", "base: [0.1, 0, 0, 0, 0, 0]  # [", 1))
    text = path.read_text()
    (line,) = {each.line for each in check_file(str(path))[0] if "left_hand" in each.line and each.level == Level.ERROR}
    assert f"smp robot shapes {path} --force" in line
    with pytest.raises(OutputError, match="somebody may have corrected them"):
        CliRunner().invoke(app, ["robot", "shapes", str(path)], catch_exceptions=False)
    done = CliRunner().invoke(app, ["robot", "shapes", str(path), "--force"])
    assert done.exit_code == 0, done.output
    assert "arm left: write base: [" in done.output
    assert path.read_text() == text
    assert not [each.line for each in check_file(str(path))[0] if "shapes" in each.line]


def test_shapes_are_made_anew_of_files_alone():
    with pytest.raises(ConfigError, match="'aloha' is no path to a YAML file"):
        CliRunner().invoke(app, ["robot", "shapes", "aloha"], catch_exceptions=False)
