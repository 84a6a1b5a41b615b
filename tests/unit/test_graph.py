"""What a graph is started with: arguments reach the nodes, defaults are the robot's, names are in the namespace."""

import pytest
import yaml

from smp_bringup.access import accesses, policy_xml
from smp_bringup.errors import ConfigError, ModelError, UnknownNameError
from smp_bringup.graph import NodeSpec, build_graph, remarks, replay_graph, require_startable
from smp_bringup.names import check_topic, full_name, full_namespace
from smp_bringup.paths import named_config
from smp_bringup.pipeline import build_command
from smp_bringup.robot import load_robot
from smp_bringup.safety import CHECKS
from smp_bringup.safety.config import load_safety


def by_name(nodes):
    return {node.name: node for node in nodes}


@pytest.fixture
def mine(tmp_path):
    """Write a robot like ALOHA that says other things about itself."""

    def write(**changes):
        data = yaml.safe_load(named_config("robots", "aloha").read_text())
        data = {key: value for key, value in data.items() if key not in ("model", "safety")} | {"name": "mine"}
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(data | changes))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("asked", "operator"),
    [({}, "none"), ({"teleop": True}, "scripted"), ({"teleop": True, "operator": "none"}, "none")],
)
def test_simulated_leaders_are_moved_by_a_script_unless_somebody_else_is_to_move_them(asked, operator):
    nodes = by_name(build_graph(sim=True, **asked))
    assert nodes["sim"].parameters["operator"] == operator
    assert ("teleop" in nodes) == bool(asked)


def test_every_argument_reaches_the_node_that_it_is_for():
    nodes = by_name(
        build_graph(
            sim=True, teleop=True, record="out", task="lift_tray", seed=3, noise=0.01, recording="default",
            device="cuda", seam="blend", deadline_s=0.2, experts_mb=300.0, realtime="off", cpus="1,2",
            use_sim_time=True,
        )
    )  # fmt: skip
    assert list(nodes) == ["sim", "sync", "command", "policy", "teleop", "recorder"]
    said = {
        "sim": {"task": "lift_tray", "seed": 3, "operator": "scripted", "publish_clock": True},
        "sync": {"use_sim_time": True},
        "command": {"use_sim_time": True, "realtime": "off", "cpus": "1,2", "safety": "default"},
        "policy": {
            "use_sim_time": True,
            "model": "sparse_aloha",
            "device": "cuda",
            "seam": "blend",
            "deadline_s": 0.2,
            "experts_mb": 300.0,
        },
        "teleop": {"use_sim_time": True, "noise": 0.01},
        "recorder": {"use_sim_time": True, "out": "out", "task": "lift_tray", "settings": "default"},
    }
    for name, parameters in said.items():
        assert parameters.items() <= nodes[name].parameters.items()
        assert nodes[name].parameters["robot"] == "aloha"
    assert [name for name, node in nodes.items() if node.respawn] == ["policy"]


def test_a_robot_that_names_no_model_gets_none_and_the_user_is_told(mine):
    path = mine()
    assert "policy" not in by_name(build_graph(robot=path))
    model, safety = remarks(robot=path)
    assert model.startswith(
        "no policy runs: robot 'mine' names no model in its file: train one (smp train --bags data)"
    )
    assert "names no safety settings" in safety
    assert "their workspace is hardly yours; smp robot new writes some, name them there as safety:" in safety
    assert remarks(robot=path, model="none", safety="default") == []
    assert remarks(robot="aloha") == []
    assert by_name(build_graph(robot=path, model="smp_aloha"))["policy"].parameters["model"] == "smp_aloha"
    with pytest.raises(ConfigError, match="robot 'mine' names no model in its file"):
        replay_graph(bag="x", robot=path)
    with pytest.raises(ConfigError, match="name the bag to play"):
        replay_graph(bag="")


def test_model_and_safety_of_a_robot_file_are_meant_from_where_it_is(mine, tmp_path):
    (tmp_path / "careful.yaml").write_text(named_config("safety", "default").read_text())
    (tmp_path / "policy").mkdir()
    nodes = by_name(build_graph(robot=mine(model="policy", safety="careful.yaml")))
    assert nodes["policy"].parameters["model"] == str(tmp_path / "policy")
    assert nodes["command"].parameters["safety"] == str(tmp_path / "careful.yaml")
    asked = by_name(build_graph(robot=mine(model="policy"), model="smp_aloha", safety="default"))
    assert asked["policy"].parameters["model"] == "smp_aloha"
    assert asked["command"].parameters["safety"] == "default"


def test_a_robot_without_settings_and_shapes_runs_under_those_that_need_none_and_that_is_said(mine):
    arms = yaml.safe_load(named_config("robots", "aloha").read_text())["arms"]
    path = mine(arms=[{key: value for key, value in arm.items() if key != "geometry"} for arm in arms])
    assert by_name(build_graph(robot=path))["command"].parameters["safety"] == "bare"
    assert "arm_distance" in ", ".join(build_command(load_robot(path)).left_out)
    (said,) = remarks(robot=path, model="none")
    assert "config/safety/bare.yaml is taken: no shapes of its links are known, and no distances are watched" in said
    needless = [name for name in load_safety("default").checks if not CHECKS[name].needs_geometry]
    assert list(load_safety("bare").checks) == needless
    with pytest.raises(ConfigError, match="has no geometry"):
        build_command(load_robot(path), "default")
    broken = mine(arms=[{**arm, "geometry": "nowhere"} for arm in arms])
    assert by_name(build_graph(robot=broken))["command"].parameters["safety"] == "default", "lost shapes are an error"


def test_what_a_robot_file_names_and_is_not_there_is_said_with_what_to_do(mine, tmp_path):
    nodes = build_graph(robot=mine(model="runs/smp/model"))
    with pytest.raises(
        ModelError, match=r"robot 'mine' names model 'runs/smp/model' in its file.*train one.*model:=none"
    ):
        require_startable(nodes)
    with pytest.raises(UnknownNameError, match="unknown model 'nope'"):
        require_startable(build_graph(robot=mine(model="runs/smp/model"), model="nope"))
    assert "policy" not in by_name(build_graph(robot=mine(model="runs/smp/model"), model="none"))
    with pytest.raises(ConfigError, match=r"safety: of robot 'mine': .* file 'careful\.yaml' does not exist"):
        build_graph(robot=mine(safety="careful.yaml"))


def test_a_robot_that_is_not_there_is_refused_before_anything_starts():
    with pytest.raises(UnknownNameError, match="unknown robot 'nope'"):
        require_startable([NodeSpec("sim", {"robot": "nope"})])


def test_two_machines_share_the_nodes_out():
    robot, gpu = (by_name(build_graph(sim=True, teleop=True, record="out", side=side)) for side in ("robot", "gpu"))
    assert list(robot) == ["sim", "sync", "command", "teleop", "recorder"]
    assert list(gpu) == ["policy"]
    with pytest.raises(ConfigError, match="nothing to run on the GPU's side"):
        build_graph(side="gpu", model="none")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"robot": "nope"}, UnknownNameError, "unknown robot 'nope'"),
        ({"safety": "nope"}, UnknownNameError, "unknown safety settings 'nope'"),
        ({"side": "left"}, ConfigError, "side must be one of all, robot, gpu, got 'left'"),
        ({"saem": "blend"}, ConfigError, r"unknown key 'saem' \(did you mean 'seam'\?\)"),
        ({"namespace": "2x"}, ConfigError, "namespace '2x' must be a word"),
    ],
)
def test_what_a_graph_cannot_be_is_said_before_it_starts(arguments, error, message):
    with pytest.raises(error, match=message):
        build_graph(**arguments)


def test_a_policy_that_cannot_be_loaded_is_said_before_anything_starts(mine, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown model 'nope'"):
        require_startable(build_graph(model="nope"))
    with pytest.raises(ModelError):
        require_startable(build_graph(model=str(tmp_path)))
    require_startable(build_graph(side="robot", model="nope"))  # it is on the other machine


@pytest.mark.parametrize("namespace", ["robot1", "/robot1", "/robot1/"])
def test_a_namespace_is_written_as_one_likes(namespace):
    assert full_namespace(namespace) == "/robot1"
    assert {node.full_name for node in build_graph(namespace=namespace)} == {
        "/robot1/sync", "/robot1/command", "/robot1/policy",
    }  # fmt: skip
    assert full_name("command/arm", "/robot1") == "/robot1/command/arm"
    assert full_name("/clock", "/robot1") == "/clock"


@pytest.mark.parametrize("namespace", ["1st", "a b", "a//b", "~", "a" * 100])
def test_a_namespace_that_ros_could_not_have_is_refused(namespace):
    with pytest.raises(ConfigError, match=f"namespace '{namespace}' must be a word"):
        full_namespace(namespace)


def test_relative_topics_of_a_robot_file_are_in_the_namespace_and_absolute_ones_are_not(mine):
    data = yaml.safe_load(named_config("robots", "aloha").read_text())
    data["cameras"][0]["topic"] = "/shared/camera"
    robot = load_robot(mine(cameras=data["cameras"]), "/robot1")
    assert robot.cameras[0].topic == "/shared/camera"
    assert robot.cameras[1].topic == "/robot1/camera_wrist_left/image_raw"
    assert robot.arms[0].command_topic == "/robot1/follower_left/joint_commands"
    assert load_robot("aloha").arms[0].command_topic == "/follower_left/joint_commands"
    for taken in ("command/state", "/policy/x", "estop", "tf"):
        with pytest.raises(ConfigError, match="is not free"):
            check_topic(taken)


def test_security_policies_in_a_namespace_name_its_topics_and_its_own_enclaves():
    robot = load_robot("aloha", "/robot1")
    allowed = accesses(robot, "/robot1")
    command = allowed["command"]
    assert {"/robot1/follower_left/joint_commands", "/robot1/command/state", "/diagnostics"} <= set(command.publish)
    assert {"/robot1/policy/chunk", "/robot1/estop", "/clock"} <= set(command.subscribe)
    assert "/robot1/command/describe_parameters" in command.reply
    text = policy_xml("command", command, "/robot1")
    assert '<enclave path="/smp/robot1/command">' in text
    assert '<profile ns="/robot1" node="command">' in text
