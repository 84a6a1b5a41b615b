"""SROS2: the shipped policies against the running graph, and a graph that is asked for security it cannot give."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from smp_bringup.access import accesses
from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import START_S, graph_client
from smp_bringup.graph import NODE_NAMES, NodeSpec, build_graph, replay_graph
from smp_bringup.launcher import Graph
from smp_bringup.names import CLIENT, enclave
from smp_bringup.robot import load_robot
from smp_bringup.security import SecurityError, middleware_has_security, require_security, security_asked

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config/security"
BAG = ROOT / "tests/replay/bags/two_seconds"
RULES = ("publish", "subscribe", "reply", "request")
KIND = {"publish": "topic", "subscribe": "topic", "reply": "service", "request": "service"}


def used(client, node):
    """Return what a node of the running graph uses, by rule."""
    ask = {
        "publish": client.get_publisher_names_and_types_by_node,
        "subscribe": client.get_subscriber_names_and_types_by_node,
        "reply": client.get_service_names_and_types_by_node,
        "request": client.get_client_names_and_types_by_node,
    }
    return {(rule, name) for rule, names in ask.items() for name, _ in names(node, "/")}


def allowed(access):
    """Return the same of a policy."""
    return {(rule, name) for rule in RULES for name in getattr(access, rule)}


def watch(client, wanted, check):
    """Return what each node uses once that is at least what is wanted of it."""
    seen = {}

    def complete():
        seen.update({node: used(client, node) for node in wanted if node in client.get_node_names()})
        return all(rules <= seen.get(node, set()) for node, rules in wanted.items())

    try:
        client.wait(complete, START_S, "the nodes to use what their policies allow", check)
    except GraphError:
        unused = {node: rules - seen.get(node, set()) for node, rules in wanted.items()}
        pytest.fail(f"allowed and not used: {unused}")
    return seen


def replayed(robot):
    """Return what is used over a bag only: its clock, and commands that go to no arm."""
    clock = {"sim": "publish", "sync": "subscribe", "policy": "subscribe", "command": "subscribe"}
    only = {node: {(rule, "/clock")} for node, rule in clock.items()}
    only["command"] |= {("publish", f"/replay{arm.command_topic}") for arm in robot.arms}
    return only


def test_every_node_of_the_running_graph_uses_what_its_policy_allows_and_nothing_else(robot, tmp_path):
    policies = {node: allowed(access) for node, access in accesses(robot).items()}
    only = replayed(robot)
    specs = build_graph(sim=True, teleop=True, record=str(tmp_path), blackbox=str(tmp_path / "stops"))
    wanted = {spec.name: policies[spec.name] - only.get(spec.name, set()) for spec in specs}
    with Graph(specs, tmp_path / "log") as graph, graph_client() as client:
        assert watch(client, wanted, graph.check) == wanted
        assert used(client, client.get_name()) <= policies[CLIENT]


def test_the_nodes_over_a_bag_do_too(tmp_path):
    robot_file = str(ROOT / "tests/replay/robot.yaml")
    robot = load_robot(robot_file)
    wanted = replayed(robot) | {"replay": allowed(accesses(robot)["replay"])}
    specs = [spec for spec in replay_graph(bag=str(BAG), robot=robot_file, model="none") if spec.name != "policy"]
    specs.append(NodeSpec("policy", {"use_sim_time": True}))  # of another robot: the player waits for it
    specs.append(NodeSpec("sim", {"publish_clock": True}))
    with Graph(specs, tmp_path / "log") as graph, graph_client() as client:
        seen = watch(client, wanted, graph.check)
    assert seen["replay"] == wanted["replay"]


def test_the_shipped_policies_are_those_that_smp_security_writes(robot, tmp_path):
    command = [sys.executable, "-m", "smp_bringup.cli.main", "security", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_text() for path in SHIPPED.iterdir()}
    assert set(written) == {f"{name}.policy.xml" for name in (*NODE_NAMES, CLIENT)}


@pytest.mark.parametrize("path", sorted(SHIPPED.iterdir()), ids=lambda path: path.name)
def test_a_policy_has_the_form_that_sros2_asks_for(path):
    """Elements, attributes and their values as SROS2's policy.xsd has them; one enclave, whose names are absolute."""
    root = ElementTree.parse(path).getroot()
    assert (root.tag, root.attrib) == ("policy", {"version": "0.2.0"})
    (profile,) = root.findall("./enclaves/enclave/profiles/profile")
    name = path.name.removesuffix(".policy.xml")
    assert [e.get("path") for e in root.iter("enclave")] == [enclave(name)]
    assert profile.attrib == {"ns": "/", "node": name}
    for group in profile:
        (rule,) = group.attrib
        assert (group.tag, group.get(rule)) == (f"{KIND[rule]}s", "ALLOW")
        assert {child.tag for child in group} == {KIND[rule]}
        assert all(child.text.startswith("/") for child in group)
        patterns = [child.text for child in group if "*" in child.text]
        assert all(name == CLIENT and text.startswith("/_ros2cli_*/") for text in patterns)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ENABLE": "True", "STRATEGY": "Enforce"}, "ROS_SECURITY_ENABLE is 'True'"),
        ({"ENABLE": "true", "STRATEGY": "enforce"}, "ROS_SECURITY_STRATEGY is 'enforce'"),
        ({"ENABLE": "true"}, "ROS_SECURITY_STRATEGY is ''"),
        ({"STRATEGY": "Enforce"}, "which ROS ignores without ROS_SECURITY_ENABLE"),
    ],
)
def test_a_spelling_with_which_ros_would_run_open_is_refused(monkeypatch, asked, said):
    for name, value in asked.items():
        monkeypatch.setenv(f"ROS_SECURITY_{name}", value)
    with pytest.raises(SecurityError, match=said):
        security_asked()


def test_security_that_is_not_asked_for_is_not_required(monkeypatch):
    for name, value in {"ENABLE": "false", "STRATEGY": "Enforce"}.items():
        monkeypatch.setenv(f"ROS_SECURITY_{name}", value)
    assert not security_asked()
    require_security(["command"])


@pytest.mark.parametrize("keys", ["", "empty", "enclaves"])
@pytest.mark.parametrize(
    "words", [("-m", "smp_bringup.cli.main", "up", "--sim"), ("-m", "smp_bringup.cli.main", "top")]
)
def test_a_graph_that_cannot_enforce_security_does_not_start(tmp_path, words, keys):
    for node in (*NODE_NAMES, CLIENT) if keys == "enclaves" else ():
        (tmp_path / f"keys/enclaves{enclave(node)}").mkdir(parents=True)  # without a key
    asked = {"ENABLE": "true", "STRATEGY": "Enforce", "KEYSTORE": str(tmp_path / "keys") if keys else ""}
    env = {**os.environ, **{f"ROS_SECURITY_{name}": value for name, value in asked.items()}}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    said = [line for line in done.stderr.splitlines() if not line.startswith("[INFO]")]
    assert len(said) == 1, done.stderr
    assert said[0].startswith("error: security is asked for, and ")
    assert ("built without security" in said[0]) == (keys == "enclaves" and not middleware_has_security())


def test_the_doctor_says_so(tmp_path):
    asked = {"ENABLE": "true", "STRATEGY": "Enforce", "KEYSTORE": str(tmp_path)}
    env = {**os.environ, **{f"ROS_SECURITY_{name}": value for name, value in asked.items()}}
    command = [sys.executable, "-m", "smp_bringup.cli.main", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    (line,) = [line for line in done.stdout.splitlines() if "security" in line]
    assert done.returncode == 2
    assert line.startswith("fail security: security is asked for, and ")


def test_a_node_that_is_started_by_itself_refuses_too(tmp_path):
    asked = {"ENABLE": "true", "STRATEGY": "Enforce", "KEYSTORE": str(tmp_path)}
    env = {**os.environ, **{f"ROS_SECURITY_{name}": value for name, value in asked.items()}}
    command = [sys.executable, "-m", "smp_bringup.nodes.command_node", "--ros-args", "--enclave", enclave("command")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: security is asked for, and does not let us in:")
    assert "Traceback" not in done.stderr
