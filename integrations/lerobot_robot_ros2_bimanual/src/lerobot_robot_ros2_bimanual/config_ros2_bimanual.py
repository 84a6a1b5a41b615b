"""What LeRobot's command line says of the robot and of who leads it."""

from dataclasses import dataclass

from lerobot.robots.config import RobotConfig
from lerobot.teleoperators.config import TeleoperatorConfig


@RobotConfig.register_subclass("ros2_bimanual")
@dataclass(kw_only=True)
class Ros2BimanualConfig(RobotConfig):
    """The robot of a running graph (`smp up`, `ros2 launch`)."""

    robot: str = "aloha"
    """Robot in config/robots, or a path to a YAML file: that of the graph."""
    namespace: str = "/"
    """Of the graph."""
    lead: bool = True
    """Whether actions of LeRobot lead the arms, on the topics of the leader arms. False: somebody else leads them, and
    LeRobot looks on (`--teleop.type=ros2_leaders`)."""
    wait_s: float = 10.0
    """For how long an observation or an answer is awaited."""


@TeleoperatorConfig.register_subclass("ros2_leaders")
@dataclass(kw_only=True)
class Ros2LeadersConfig(TeleoperatorConfig):
    """What leads the arms of a running graph: leader arms, a SpaceMouse, the scripted operator of the simulator."""

    robot: str = "aloha"
    """As of the robot."""
    namespace: str = "/"
    """Of the graph."""
    wait_s: float = 10.0
    """For how long they are awaited."""


def joint_key(name: str) -> str:
    """Return what LeRobot calls the position of a joint."""
    return f"{name}.pos"
