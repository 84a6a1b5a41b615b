"""How loudly the command node says what it does: a fault and an emergency stop are errors, a hold is a warning."""

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from sensor_msgs.msg import JointState

from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import now_ns
from smp_bringup.nodes.messages import joint_state_msg


def test_holds_warn_latched_modes_are_errors_and_the_silent_arm_is_named(tmp_path, robot):
    said, shown = [], {"status": DiagnosticStatus()}

    def hear(message):
        if message.status[0].name == "smp_bringup: command":
            shown["status"] = message.status[0]

    with Graph([NodeSpec("command", {})], tmp_path / "log") as graph, graph_client("drivers") as client:
        client.create_subscription(DiagnosticArray, "/command/state", lambda m: said.append(m.status[0]), qos.STATE)
        client.create_subscription(DiagnosticArray, "/diagnostics", hear, 10)
        speaking = {arm.name for arm in robot.arms}
        home = np.array(robot.joint_array("home"))

        def publish():
            for arm, publisher in publishers.items():
                if arm.name in speaking:
                    where = home[robot.arm_slices[arm.name]]
                    names = tuple(joint.name for joint in arm.joints)
                    publisher.publish(joint_state_msg(now_ns(client), names, where, where * 0.0))

        publishers = {arm: client.create_publisher(JointState, arm.state_topic, qos.DRIVER) for arm in robot.arms}
        for arm in robot.arms:
            client.create_subscription(JointState, arm.command_topic, lambda _: None, qos.LATEST)
        client.create_timer(0.01, publish)
        client.wait(lambda: bool(client.command_state) and client.accepts("arm"), 60, "arming", graph.check)
        client.wait(lambda: said[-1].level == DiagnosticStatus.OK, 60, "all to be well", graph.check)
        said.clear()
        sound, silent = robot.arms[0].name, robot.arms[-1].name
        speaking.remove(silent)
        client.wait(lambda: said and said[-1].level == DiagnosticStatus.ERROR, 60, "the fault", graph.check)
        client.wait(lambda: shown["status"].level == DiagnosticStatus.ERROR, 60, "its diagnostics", graph.check)
        assert DiagnosticStatus.WARN in [status.level for status in said]
        for status in (said[-1], shown["status"]):
            assert f"no fresh state of arm '{silent}'" in status.message
            assert f"'{sound}'" not in status.message
        speaking.add(silent)
        client.wait(lambda: client.accepts("reset"), 60, "the reset", graph.check)
        client.wait(lambda: shown["status"].level == DiagnosticStatus.OK, 60, "all to be well again", graph.check)
        client.set_bool("/command/estop", True)
        client.wait(lambda: shown["status"].level == DiagnosticStatus.ERROR, 60, "the stop's diagnostics", graph.check)
        assert said[-1].level == DiagnosticStatus.ERROR
        assert "emergency stop was pressed" in shown["status"].message
    log = (tmp_path / "log").read_text()
    assert "[WARN]" in log
    assert "[ERROR]" in log.split("estop: ")[0]
