"""Another robot than ALOHA in the live simulator: ros2_control's conventions, and an operator without leader arms."""

from importlib.util import find_spec

import pytest
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from smp_bringup.client.answers import GraphError
from smp_bringup.nodes import qos

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(find_spec("robosuite") is None, reason="models of the robots are missing: make robots"),
]


def test_two_panda_lift_the_tray_live(launch, tmp_path):
    """No node of teleoperation runs: the simulator speaks for an operator who says where all joints are to be."""
    with launch(tmp_path / "log", robot="dual_panda", model="none", sim=True, teleop=True, task="lift_tray") as (
        graph,
        client,
    ):
        assert set(graph.processes) == {"sim", "sync", "command"}
        states, told = [], []
        client.create_subscription(JointState, "/joint_states", states.append, qos.SENSOR)
        topic = "/left_joint_impedance_controller/commands"
        client.create_subscription(Float64MultiArray, topic, told.append, qos.RECORD)

        def lifts():
            """Return whether the tray was lifted; a machine that stalls holds the arms."""
            try:
                client.start_episode("lift_tray", 3, "teleop", graph.check)
                client.trigger("/sim/operate")
                ended = lambda: client.sim_state["operator"] == "finished" or client.latched  # noqa: E731
                client.wait(lambda: client.sim_state["success"] == "1" or ended(), 90, "the end", graph.check)
            except GraphError:
                return False
            return client.sim_state["success"] == "1"

        assert any(lifts() for _ in range(5))
        assert len(states[-1].name) == 16
        assert len(told[-1].data) == 7
