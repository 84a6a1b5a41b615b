"""The robot of a running graph as a robot of LeRobot: observations of sync, actions under the command node's limits."""

from typing import TYPE_CHECKING, Any

from lerobot.robots.robot import Robot

from lerobot_robot_ros2_bimanual.config_ros2_bimanual import Ros2BimanualConfig
from lerobot_robot_ros2_bimanual.interrupts import INTERRUPTS
from lerobot_robot_ros2_bimanual.member import GraphMember
from lerobot_robot_ros2_bimanual.rate import require_rate
from smp_bringup.errors import ConfigError

if TYPE_CHECKING:
    from lerobot_robot_ros2_bimanual.leading import Leading
    from lerobot_robot_ros2_bimanual.link import Link


class Ros2Bimanual(GraphMember, Robot):
    """Joints [rad], grippers [m], or as the mapping says, and images as sync gives them to a policy."""

    config_class = Ros2BimanualConfig
    name = "ros2_bimanual"

    def __init__(self, config: Ros2BimanualConfig) -> None:
        """Read robot file and mapping.

        Raises:
            ConfigError: they are wrong; LeRobot is to lead arms that have no leader arms in the robot file, or to
                record more often than the cameras see.
        """
        super().__init__(config)
        self._read(config)
        self.config: Ros2BimanualConfig = config
        if config.lead and not self._body.has_leader_arms:
            raise ConfigError(
                f"robot '{self._body.name}' has arms without leader_topic, on which LeRobot would lead them: name one "
                "for each in the robot file, or give --robot.lead=false"
            )
        require_rate(self._body)
        self._given_ns = 0
        self._leading: Leading | None = None
        self.cameras = {name: self._body.camera(ours) for ours, name in self._names.cameras.items()}
        """LeRobot counts them."""

    @property
    def observation_features(self) -> dict[str, Any]:
        """Joints, and images (h, w, 3)."""
        sizes = {name: (c.observation_height, c.observation_width, 3) for name, c in self.cameras.items()}
        return {**dict.fromkeys(self._names.measured, float), **sizes}

    @property
    def action_features(self) -> dict[str, type]:
        """The joints of all arms."""
        return dict.fromkeys(self._names.told, float)

    def connect(self, calibrate: bool = True) -> None:
        """Join the graph; where LeRobot leads, be heard in the place of the leader arms. No arm moves yet.

        Raises:
            ConfigError: the graph's robot is another one; LeRobot is to lead by what it hears of who leads.
            GraphError: the graph does not run, is latched, or somebody else leads the arms.
        """
        with INTERRUPTS.deferred():
            try:
                self._leading = self._led(self._join())
            except BaseException:
                self._leave()
                raise

    def _led(self, link: "Link") -> "Leading | None":
        """Wait for an observation; return who leads the arms, if LeRobot is to."""
        from lerobot_robot_ros2_bimanual.leading import Leading  # ROS, as above

        if self.config.lead and link.looked_on:
            raise ConfigError("--teleop.type=ros2_leaders only hears who leads the arms: give --robot.lead=false")
        seen = link.next_seen(0, self.config.wait_s)
        return Leading(link, seen.position, self.config.wait_s) if self.config.lead else None

    def get_observation(self) -> dict[str, Any]:
        """Return the newest set of sync, one that was not given before; raises GraphError where none comes."""
        assert self._link is not None, "connect first"
        with INTERRUPTS.deferred():
            seen = self._link.next_seen(self._given_ns, self.config.wait_s)
        self._given_ns = seen.stamp_ns
        images = {name: seen.images[ours] for ours, name in self._names.cameras.items()}
        return {**self._names.observation(seen.position), **images}

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        """Lead the arms there, where LeRobot leads; return the action. What is unsafe the command node limits.

        Raises:
            ConfigError: the action is not in names and units of this robot, or nobody would do it.
            GraphError: the arms do not follow.
        """
        assert self._link is not None, "connect first"
        if self._leading is not None:
            position = self._names.led_to(action)
            with INTERRUPTS.deferred():
                self._leading.to(position)
        elif not self._link.looked_on:
            raise ConfigError("with --robot.lead=false no action is done: give --teleop.type=ros2_leaders, or true")
        return action

    def disconnect(self) -> None:
        """Have the arms rest where they are, armed, where LeRobot led them; leave the graph."""
        leading, self._leading = self._leading, None
        with INTERRUPTS.deferred(patient=True):
            try:
                if leading is not None:
                    leading.end()
            finally:
                self._leave()
