"""Two robots in two namespaces of one domain: each has its graph, client and bags, and neither minds the other."""

import pytest
from rosbags.rosbag2 import Reader

from smp_bringup.bag.reader import open_bag
from smp_bringup.client.graph_client import graph_client
from smp_bringup.client.record import record_episode
from smp_bringup.client.top import screens
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.sim.seeds import demonstration_seed

TASK = "press_two_buttons"
FIRST, SECOND = "robot1", "robot2"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def two(out):
    """Both graphs; of the first an episode is recorded by teleoperation."""
    settings = {"sim": True, "model": "none", "task": TASK}
    nodes = build_graph(namespace=FIRST, teleop=True, record=str(out), **settings)
    with Graph(nodes, out / "first.log") as first:
        nodes = [node for node in build_graph(namespace=SECOND, **settings) if node.name != "sync"]  # two cores
        with Graph(nodes, out / "second.log") as second:
            yield first, second


@pytest.fixture(scope="module")
def bag(two, out):
    with graph_client(namespace=FIRST) as client:
        record_episode(client, two[0], TASK, demonstration_seed(0, 0))
    return open_bag(out / TASK / "episode_00000")


def test_a_stop_of_one_robot_is_none_of_the_other(two):
    first, second = two
    with graph_client(namespace=SECOND) as client:
        client.wait(lambda: client.accepts("arm"), 60, "the second robot to be armed", second.check)
    with graph_client(namespace=FIRST) as client:
        client.wait(lambda: client.accepts("arm"), 60, "the first robot to be armed", first.check)
        client.set_bool("command/estop", True)
        client.wait(lambda: client.command_state.get("mode") == "estop", 60, "the stop", first.check)
    with graph_client(namespace=SECOND) as client:
        client.wait(lambda: bool(client.command_state), 60, "the other command node", second.check)
        assert client.command_state["mode"] != "estop"  # two graphs on a busy machine may end in a fault of their own
        wanted = {(name, namespace) for name in ("sim", "command") for namespace in ("/robot1", "/robot2")}
        client.wait(lambda: wanted <= set(client.get_node_names_and_namespaces()), 60, "all nodes", second.check)
    with graph_client(namespace=FIRST) as client:
        client.set_bool("command/estop", False)


def test_the_console_shows_the_nodes_of_its_namespace(two):
    from rich.console import Console

    def shown(namespace, others, *nodes):
        for screen in screens(60, namespace):
            console = Console(width=200)
            with console.capture() as captured:
                console.print(screen)
            assert others not in captured.get()
            if all(node in captured.get() for node in nodes):
                return captured.get()
        pytest.fail(f"not all of {nodes} were heard: {captured.get()}")

    shown(FIRST, "robot2", "sim", "command", "teleop")
    assert "sync" not in shown(SECOND, "robot1", "sim", "command")


def test_a_bag_of_a_robot_in_a_namespace_is_as_any_other(bag, robot):
    with Reader(bag.path) as reader:
        topics = set(reader.topics)
    assert {"/follower_left/joint_states", "/camera_overview/image_raw", "/command/state", "/sim/objects"} <= topics
    assert not [topic for topic in topics if "robot1" in topic]
    assert bag.robot() == robot
    assert bag.episode["quality"] in ("keep", "warn", "reject")
    assert "missing" not in bag.episode["reasons"]
