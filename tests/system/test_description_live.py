"""What RViz, Foxglove and Rerun would hear of a robot with a description, and who else may say it."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from smp_bringup import config
from smp_bringup.client.graph_client import graph_client
from smp_bringup.description.model import Description
from smp_bringup.description.pose import Pose, pose_of
from smp_bringup.graph import NodeSpec, build_graph
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import joint_state_msg

URDF = "package://smp_bringup/config/descriptions/aloha.urdf"


@pytest.fixture
def described(robot, tmp_path):
    """Path of a robot file with a description."""
    path = tmp_path / "described.yaml"
    path.write_text(config.dump(replace(robot, description=URDF)))
    return str(path)


def speaking(client, robot, position, topics):
    """Let the client publish joint positions (J,) of all arms on their state or command topics."""
    publishers = {arm: client.create_publisher(JointState, getattr(arm, topics), qos.DRIVER) for arm in robot.arms}

    def speak():
        for arm, publisher in publishers.items():
            names = tuple(joint.name for joint in arm.joints)
            here = position[robot.arm_slices[arm.name]]
            publisher.publish(joint_state_msg(now_ns(client), names, here, here * 0.0))

    client.create_timer(0.02, speak)


def test_the_graph_has_the_node_only_where_the_robot_has_a_description(described):
    assert "description" not in [node.name for node in build_graph()]
    assert "description" in [node.name for node in build_graph(robot=described)]


def test_the_description_is_said_to_late_joiners_and_taken_back_where_another_says_it(described, tmp_path):
    with Graph([NodeSpec("description", {"robot": described})], tmp_path / "log") as graph, graph_client() as client:
        heard = []
        client.wait(lambda: client.count_publishers("/robot_description") == 1, 60, "the node", graph.check)
        client.create_subscription(String, "/robot_description", heard.append, qos.STATE)
        client.wait(lambda: len(heard) == 1, 60, "the description", graph.check)
        assert heard[0].data == Description(URDF).text

        other = client.create_publisher(String, "/robot_description", qos.STATE)
        other.publish(String(data="<robot name='theirs'/>"))
        late = []
        client.wait(lambda: "described by" in (tmp_path / "log").read_text(), 60, "the node to stand back", graph.check)
        client.create_subscription(String, "/robot_description", late.append, qos.STATE)
        client.wait(lambda: len(late) == 1, 60, "theirs", graph.check)
        assert late[0].data == "<robot name='theirs'/>"
        client.destroy_publisher(other)
        client.wait(lambda: len(late) == 2, 60, "ours again", graph.check)
        assert late[1].data == Description(URDF).text


def test_measured_and_commanded_arms_stand_where_the_robot_is_and_is_told_to_be(robot, described, tmp_path, rng):
    if importlib.util.find_spec("tf2_msgs") is None:
        pytest.skip("tf2_msgs is in no wheel of PyPI: source ROS 2, or tools/build_tf2_msgs.sh")
    from tf2_msgs.msg import TFMessage

    low, high = robot.joint_array("min"), robot.joint_array("max")
    measured, commanded = (rng.uniform(low, high) for _ in range(2))
    tree = {}

    def hear(message):
        for told in message.transforms:
            at, turn = told.transform.translation, told.transform.rotation
            pose = pose_of([at.x, at.y, at.z], [turn.w, turn.x, turn.y, turn.z])
            tree[told.child_frame_id] = told.header.frame_id, pose

    def where(frame):
        if frame not in tree:
            return pose_of([0, 0, 0], [1, 0, 0, 0])
        parent, here = tree[frame]
        above = where(parent)
        return Pose(above.position + above.rotation @ here.position, above.rotation @ here.rotation)

    whole = Description(URDF)
    frames = {prefix + link for prefix in ("", "commanded/") for link in whole.links} - {"world"}
    with Graph([NodeSpec("description", {"robot": described})], tmp_path / "log") as graph, graph_client() as client:
        client.create_subscription(TFMessage, "/tf", hear, 100)
        client.create_subscription(TFMessage, "/tf_static", hear, qos.STATE)
        speaking(client, robot, measured, "state_topic")
        speaking(client, robot, commanded, "command_topic")
        client.wait(lambda: frames <= set(tree), 60, "all frames", graph.check)
        for prefix, position in (("", measured), ("commanded/", commanded)):
            whole.move(dict(zip(robot.joint_names, position, strict=True)))
            for link in whole.links:
                np.testing.assert_allclose(
                    where(prefix + link).position, whole.pose(whole.link(link)).position, atol=1e-6
                )

        other = client.create_publisher(TFMessage, "/tf", 10)
        client.create_subscription(TFMessage, "/tf", hear, 100)
        mine = TFMessage()
        mine.transforms = [_moved(client, "left_base_link", "left_shoulder_link")]
        client.create_timer(0.1, lambda: other.publish(mine))
        client.wait(
            lambda: "who moves its frames" in (tmp_path / "log").read_text(), 60, "it to stand back", graph.check
        )


def _moved(client, parent, child):
    from geometry_msgs.msg import TransformStamped

    out = TransformStamped()
    out.header.frame_id, out.child_frame_id, out.transform.rotation.w = parent, child, 1.0
    return out
