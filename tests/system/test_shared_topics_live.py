"""The whole graph with a robot whose arms share the topic of their measured joints, as under ros2_control."""

from dataclasses import replace

from sensor_msgs.msg import JointState

from smp_bringup import config
from smp_bringup.nodes import qos

STATES = "/joint_states"


def test_a_policy_is_followed_and_all_arms_are_measured_from_one_topic(launch, checkpoints, robot, tmp_path):
    arms = tuple(replace(arm, state_topic=STATES, leader_topic="/leaders/joint_states") for arm in robot.arms)
    path, log = tmp_path / "shared.yaml", tmp_path / "graph.log"
    path.write_text(config.dump(replace(robot, arms=arms)))
    model = str(checkpoints["smp"][0])
    with launch(log, robot=str(path), model=model, sim=True, task="lift_tray", teleop=True) as (graph, client):
        observed = []
        client.create_subscription(JointState, "/observation/joint_states", observed.append, qos.OBSERVATION)
        for source in ("policy", "teleop"):
            client.start_episode("lift_tray", 2, source, graph.check)
            seen = len(observed)
            client.follow(source, graph.check, once=lambda seen=seen: len(observed) > seen + 25)
        assert client.count_publishers(STATES) == 1
        assert tuple(observed[-1].name) == robot.joint_names
    assert "names joints that its arms lack" not in log.read_text()
