"""What a simulation file says: it fits the robot and its models, or is refused in one line before anything moves."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from smp_bringup.errors import SmpError
from smp_bringup.paths import named_config
from smp_bringup.sim.world import World
from smp_bringup.simulation import load_simulation
from smp_bringup.tasks import TASKS


def changed(data, path, value):
    """Return a document with one value put where a path of keys leads; None takes it out."""
    *way, last = path
    inner = data
    for key in way:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return data


@pytest.fixture
def world(robot, tmp_path):
    """Return what builds a world of ALOHA after changes to its simulation."""

    def build(*changes):
        data = yaml.safe_load(named_config("simulations", "aloha").read_text())
        for path, value in changes:
            changed(data, path, value)
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump(data))
        return World(TASKS["lift_tray"](), replace(robot, simulation=str(file)))

    return build


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("parts",), [], "parts is empty"),
        (("hands", "right"), None, "hands are left and right, got left"),
        (("hands", "left", "arm"), "lefd", "arm of hand 'left' 'lefd' is not there (did you mean 'left'?)"),
        (("hands", "left", "gripper"), "left_griper", "did you mean 'left_gripper'"),
        (("hands", "left", "body"), "vx300s_left/griper_link", "did you mean 'vx300s_left/gripper_link'"),
        (("hands", "left", "fingers"), ["vx300s_left/camera_focus"], "have no shape that could hold"),
        (("hands", "left", "fingers"), ["vx300s_right/left_finger_link"], "fingers of both hands: vx300s_right/left"),
        (("joints", "left_waist"), {"name": "vx300s_left/waist", "at_min": 1e-300, "at_max": 0}, "would not move in"),
        (("joints", "left_waist"), {"name": "vx300s_left/wast"}, "did you mean 'vx300s_left/waist'"),
        (("joints", "waist"), {"name": "vx300s_left/waist"}, "joint 'waist' is not there"),
        (("joints", "left_waist"), {"name": "vx300s_left/waist", "at_max": 4.0}, "its arm in the simulator"),
        (("cameras", "overview"), None, "camera of the robot file 'overview' is not there"),
        (("cameras", "wrist_left", "carried_by"), "hand", "body of camera 'wrist_left' 'hand'"),
        (("parts", 0, "without"), ["tabel"], "did you mean 'table'"),
        (("parts", 0, "carried_by"), "table", "body or site 'table'"),
        (("parts", 0, "model"), "pypi://no-such-robots/a.xml", "no-such-robots is not installed: make robots, or pip"),
        (("parts", 0, "model"), "gone.urdf", "does not exist"),
        (("ties", 0, "joint"), "thumb", "no joint 'thumb'"),
        (("pace",), 0, "pace must be a number in [0.2, 10]"),
        (("meeting",), {"height": 3}, "height must be a number"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(world, path, value, said):
    with pytest.raises(SmpError) as refused:
        world((path, value))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_two_parts_of_one_name_are_refused(world, robot):
    part = {"model": load_simulation(robot).parts[0].model}
    with pytest.raises(SmpError, match=r"prefix|repeated"):
        world((("parts",), [part, dict(part)]))


def test_a_robot_without_a_simulation_says_where_one_is_named(robot):
    with pytest.raises(SmpError, match="names no simulation, one of config/simulations or a YAML file"):
        World(TASKS["lift_tray"](), replace(robot, simulation=""))


def test_a_joint_of_the_models_may_count_otherwise(world, robot):
    """The left waist turned round: what the robot file calls 0.3 is -0.3 in the models, and is measured as 0.3."""
    turned = world((("joints", "left_waist"), {"name": "vx300s_left/waist", "at_min": 3.14158, "at_max": -3.14158}))
    turned.reset(1)
    wanted = np.array(robot.joint_array("home"))
    wanted[0] = 0.3
    for _ in range(100):
        turned.set_setpoint(wanted)
        turned.step(robot.control_period_s)
    assert turned.joint_state()[0][0] == pytest.approx(0.3, abs=0.01)
    assert turned.data.joint("vx300s_left/waist").qpos[0] == pytest.approx(-0.3, abs=0.01)


@pytest.mark.parametrize(("rate_hz", "samples"), [(50, 1), (100, 1), (250, 1), (500, 5), (1000, 5)])
def test_joints_are_measured_at_the_rate_of_the_driver_as_far_as_the_physics_goes(robot, rate_hz, samples):
    assert World(TASKS["lift_tray"](), replace(robot, state_rate_hz=float(rate_hz))).samples == samples


@pytest.mark.parametrize("rate_hz", [15, 25, 30, 60, 100])
def test_a_camera_takes_as_many_images_as_it_says(robot, rate_hz):
    camera = replace(robot.cameras[0], rate_hz=float(rate_hz))
    assert sum(camera.exposes(tick, 0.01) for tick in range(1000)) == 10 * rate_hz
