"""Who leads the arms, as a teleoperator of LeRobot that is only listened to."""

from typing import Any

from lerobot.teleoperators.teleoperator import Teleoperator

from lerobot_robot_ros2_bimanual.config_ros2_bimanual import Ros2LeadersConfig, joint_key
from lerobot_robot_ros2_bimanual.member import GraphMember
from smp_bringup.robot import load_robot


class Ros2Leaders(GraphMember, Teleoperator):
    """Gives LeRobot what the teleop node tells the arms: in the robot's own joints, whatever leads them."""

    config_class = Ros2LeadersConfig
    name = "ros2_leaders"

    def __init__(self, config: Ros2LeadersConfig) -> None:
        super().__init__(config)
        self.config = config
        self._joints = load_robot(config.robot, config.namespace).joint_names

    @property
    def action_features(self) -> dict[str, type]:
        """The joints of all arms [rad], grippers [m]."""
        return dict.fromkeys(map(joint_key, self._joints), float)

    @property
    def feedback_features(self) -> dict[str, type]:
        """None: nothing is felt."""
        return {}

    def connect(self, calibrate: bool = True) -> None:
        """Join the graph."""
        from lerobot_robot_ros2_bimanual.link import Link  # ROS, which no other command of LeRobot needs

        self._link = Link.opened(self.config.robot, self.config.namespace)

    def get_action(self) -> dict[str, float]:
        """Return what the arms are told; raises GraphError while nobody leads them."""
        assert self._link is not None, "connect first"
        link = self._link
        link.drain()
        link.await_(lambda: link.told is not None, self.config.wait_s, "the leaders")
        assert link.told is not None
        return dict(zip(map(joint_key, self._joints), map(float, link.told.position), strict=True))

    def send_feedback(self, feedback: dict[str, Any]) -> None:
        """Do nothing."""

    def disconnect(self) -> None:
        """Leave the graph."""
        if self._link is not None:
            self._link.close()
            self._link = None
