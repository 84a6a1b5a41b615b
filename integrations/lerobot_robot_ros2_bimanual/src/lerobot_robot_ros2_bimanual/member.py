"""What the robot and its leaders share as devices of LeRobot: both only join a graph that runs."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lerobot_robot_ros2_bimanual.link import Link


class GraphMember:
    """A device that is calibrated and configured elsewhere; stands before LeRobot's class among the bases."""

    _link: "Link | None" = None

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
