"""What the robot and its leaders share as devices of LeRobot: both only join a graph that runs."""

from typing import TYPE_CHECKING

from lerobot_robot_ros2_bimanual.config_ros2_bimanual import GraphConfig
from lerobot_robot_ros2_bimanual.naming import Names
from smp_bringup.errors import InstallError
from smp_bringup.names import full_namespace
from smp_bringup.robot import load_robot

if TYPE_CHECKING:
    from lerobot_robot_ros2_bimanual.link import Link


class GraphMember:
    """A device that is calibrated and configured elsewhere; stands before LeRobot's class among the bases."""

    _link: "Link | None" = None

    def _read(self, config: GraphConfig) -> None:
        """Read robot file and mapping; raises ConfigError where they are wrong."""
        self.config = config
        self._namespace = full_namespace(config.namespace)
        self._body = load_robot(config.robot, self._namespace)
        self._names = Names(self._body, config.mapping)

    def _join(self) -> "Link":
        """Join the graph, whose link other devices of this process share.

        Raises:
            InstallError: LeRobot's environment has no ROS.
        """
        try:
            from lerobot_robot_ros2_bimanual.link import Link  # ROS, which no other command of LeRobot needs
        except ModuleNotFoundError as error:
            raise InstallError(
                f"LeRobot's environment has no {error.name}: pip install -r requirements/ros-kilted.in there, or "
                "source ROS 2 (docs/lerobot.md)"
            ) from None

        self._link = Link.opened(self._body, self._namespace)
        return self._link

    def _leave(self) -> None:
        """Leave the graph."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    @property
    def is_connected(self) -> bool:
        """Whether the graph is joined."""
        return self._link is not None

    @property
    def is_calibrated(self) -> bool:
        """True: robot files and drivers are calibrated, not LeRobot."""
        return True

    def calibrate(self) -> None:
        """Do nothing."""

    def configure(self) -> None:
        """Do nothing."""
