"""Who leads the arms, as a teleoperator of LeRobot that is only listened to."""

from typing import Any

from lerobot.teleoperators.teleoperator import Teleoperator

from lerobot_robot_ros2_bimanual.config_ros2_bimanual import Ros2LeadersConfig
from lerobot_robot_ros2_bimanual.interrupts import INTERRUPTS
from lerobot_robot_ros2_bimanual.member import GraphMember


class Ros2Leaders(GraphMember, Teleoperator):
    """Gives LeRobot what the teleop node tells the arms: in the robot's own joints, whatever leads them."""

    config_class = Ros2LeadersConfig
    name = "ros2_leaders"

    def __init__(self, config: Ros2LeadersConfig) -> None:
        """Read robot file and mapping; raises ConfigError where they are wrong."""
        super().__init__(config)
        self._read(config)

    @property
    def action_features(self) -> dict[str, type]:
        """The joints of all arms."""
        return dict.fromkeys(self._names.told, float)

    @property
    def feedback_features(self) -> dict[str, type]:
        """None: nothing is felt."""
        return {}

    def connect(self, calibrate: bool = True) -> None:
        """Join the graph."""
        with INTERRUPTS.deferred():
            self._join().looked_on = True

    def get_action(self) -> dict[str, float]:
        """Return what the arms are told; raises GraphError while nobody leads them, or they are stopped."""
        assert self._link is not None, "connect first"
        with INTERRUPTS.deferred():
            return self._names.action(self._link.next_told(self.config.wait_s).position)

    def send_feedback(self, feedback: dict[str, Any]) -> None:
        """Do nothing."""

    def disconnect(self) -> None:
        """Leave the graph."""
        with INTERRUPTS.deferred(patient=True):
            self._leave()
