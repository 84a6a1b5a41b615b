"""Managed nodes: `ros2 lifecycle` finds their states, nothing starts before it is told, and arms never drop."""

from contextlib import contextmanager
from threading import Event
from types import SimpleNamespace

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState

from smp_bringup.client.graph_client import graph_client
from smp_bringup.environment import prepare_environment
from smp_bringup.errors import ConfigError
from smp_bringup.graph import MANAGED, NodeSpec, build_graph
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import steady_ns
from smp_bringup.nodes.managed import ManagedNode
from smp_bringup.nodes.policy_node import PolicyNode
from smp_bringup.policy.trial import blank

ANSWER_S = 60
STILL = 1e-3
"""[rad/s] of a setpoint that comes to rest."""


def state(client, node):
    return client._request(GetState, f"{node}/get_state", GetState.Request(), ANSWER_S).current_state.label


def change(client, node, word):
    transition = Transition(id=getattr(Transition, f"TRANSITION_{word.upper()}"))
    return client._request(
        ChangeState, f"{node}/change_state", ChangeState.Request(transition=transition), ANSWER_S
    ).success


def test_nodes_wait_to_be_configured_and_activated_and_go_back(tmp_path):
    nodes = build_graph(autostart=False, record=str(tmp_path))
    with Graph(nodes, tmp_path / "log") as graph, graph_client() as client:
        for node in MANAGED:
            assert state(client, node) == "unconfigured"
        assert client.count_publishers("command/state") == 0
        for word, reached in (("configure", "inactive"), ("activate", "active"), ("deactivate", "inactive")):
            for node in MANAGED:
                assert change(client, node, word), (tmp_path / "log").read_text()
                assert state(client, node) == reached
            graph.check()
        client.wait(lambda: client.count_publishers("command/state") == 0, ANSWER_S, "silence")
        for node in MANAGED:
            assert change(client, node, "cleanup")
            assert change(client, node, "configure")
            assert change(client, node, "activate"), (tmp_path / "log").read_text()
        client.wait(lambda: client.command_state.get("mode") == "disarmed", ANSWER_S, "the command node", graph.check)


def test_what_cannot_be_configured_stays_unconfigured_and_can_be_mended(tmp_path):
    specs = [NodeSpec("policy", {"autostart": False, "model": str(tmp_path / "model")})]
    with Graph(specs, tmp_path / "log") as graph, graph_client() as client:
        assert not change(client, "policy", "configure")
        assert state(client, "policy") == "unconfigured"
        graph.check()
    assert "unknown model" in (tmp_path / "log").read_text()


@contextmanager
def moving_arms(folder, robot):
    """Give a graph whose left arm moves, a client, and what the arm was told."""
    heard = []
    nodes = build_graph(sim=True, model="none", teleop=True, task="press_two_buttons")
    with Graph(nodes, folder / "log") as graph, graph_client() as client:
        deep = QoSProfile(depth=500)
        client.create_subscription(JointState, robot.arms[0].command_topic, heard.append, deep)
        moving = lambda: heard and max(map(abs, heard[-1].velocity)) > 0.1  # noqa: E731

        def operated():
            """Return whether the arm is moved; a machine that stalls latches it, then again."""
            client.start_episode("press_two_buttons", 1, "teleop", graph.check)
            client.trigger("sim/operate")
            client.wait(lambda: client.latched or moving(), ANSWER_S, "the arm to move", graph.check)
            return not client.latched

        assert any(operated() for _ in range(10)), client.command_state
        yield graph, client, heard


def test_arms_that_move_come_to_rest_also_where_the_command_node_is_told_to_shut_down(tmp_path, robot):
    with moving_arms(tmp_path, robot) as (graph, client, heard):
        count = len(heard)
        assert change(client, "command", "active_shutdown")  # a shutdown cannot be refused
        client.wait(lambda: max(map(abs, heard[-1].velocity)) < STILL, ANSWER_S, "the arms to rest", graph.check)
        assert len(heard) > count  # by being told so, not by silence


def test_arms_that_move_come_to_rest_before_the_command_node_is_deactivated(tmp_path, robot):
    with moving_arms(tmp_path, robot) as (graph, client, heard):
        assert not change(client, "command", "deactivate")  # it disarms, and says so
        assert state(client, "command") == "active"
        client.wait(lambda: change(client, "command", "deactivate"), ANSWER_S, "the arms to rest", graph.check)
        assert state(client, "command") == "inactive"
        client.spin_for(0.2)
        count = len(heard)
        assert max(map(abs, heard[-1].velocity)) < STILL
        client.spin_for(0.2)
        assert len(heard) == count
        assert change(client, "command", "activate")
        client.wait(lambda: client.command_state.get("mode") == "disarmed", ANSWER_S, "it to be back", graph.check)
        client.wait(lambda: client.accepts("arm"), ANSWER_S, "the arms to be armed again", graph.check)


def test_a_clock_that_was_chosen_while_active_is_heard_after_the_way_back_and_forth(tmp_path):
    with Graph([NodeSpec("command", {"robot": "aloha"})], tmp_path / "log") as graph, graph_client() as client:
        stamps = set()
        client.wait(lambda: client.service_ready("/command/arm"), ANSWER_S, "the command node", graph.check)
        client.set_parameters("command", use_sim_time=True)
        assert change(client, "command", "deactivate")
        assert change(client, "command", "activate"), (tmp_path / "log").read_text()
        clock = client.create_publisher(Clock, "/clock", 10)
        client.create_timer(0.01, lambda: clock.publish(Clock(clock=Time(sec=1000))))
        client.create_subscription(
            DiagnosticArray, "command/state", lambda message: stamps.add(message.header.stamp.sec), qos.STATE
        )
        client.wait(lambda: 1000 in stamps, ANSWER_S, "a state of that time", graph.check)


def test_a_policy_node_stays_active_until_its_inference_has_ended(robot, checkpoints):
    prepare_environment()
    # A name of its own: rclpy keeps a managed node known for as long as its process lives.
    rclpy.init(args=["--ros-args", "-r", "__node:=inferring", "-p", f"model:={checkpoints['sparse'][0]}"])
    try:
        node = PolicyNode()
        node.start()
        infers, goes_on, planner = Event(), Event(), node._planner
        node._planner = SimpleNamespace(infer=lambda *_: (infers.set(), goes_on.wait(ANSWER_S)))
        node._mailbox.put((blank(robot, node._config.observation_steps), steady_ns()))
        assert infers.wait(ANSWER_S)
        assert node.trigger_deactivate() != TransitionCallbackReturn.SUCCESS
        assert node.active
        assert node._worker.is_alive()
        goes_on.set()
        node._worker.join(ANSWER_S)
        node._planner = planner
        assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS  # and infers again
        assert node._worker.is_alive()
        assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        assert node._policy is None
        node.destroy_node()
    finally:
        rclpy.shutdown()


def test_what_was_loaded_is_let_go_also_where_a_later_part_fails():
    let_go = []

    class Half(ManagedNode):
        def configure(self):
            raise ConfigError("the second part")

        def let_go(self):
            let_go.append(True)

    prepare_environment()
    rclpy.init()
    try:
        node = Half("half")
        assert node.trigger_configure() != TransitionCallbackReturn.SUCCESS
        assert let_go == [True]
        node.destroy_node()
    finally:
        rclpy.shutdown()
