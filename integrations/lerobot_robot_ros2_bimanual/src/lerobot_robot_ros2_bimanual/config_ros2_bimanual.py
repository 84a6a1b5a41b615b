"""What LeRobot's command line says of the robot and of who leads it."""

from dataclasses import dataclass

from lerobot.robots.config import RobotConfig
from lerobot.teleoperators.config import TeleoperatorConfig


@dataclass(kw_only=True)
class GraphConfig:
    """Which graph (`smp up`, `ros2 launch`) a device of LeRobot is in."""

    robot: str = "aloha"
    """Robot in config/robots, or a path to a YAML file: that of the graph."""
    namespace: str = "/"
    """Of the graph."""
    mapping: str = ""
    """Mapping in config/imports, or a path, where LeRobot is to call or measure joints and cameras otherwise."""
    wait_s: float = 10.0
    """For how long an observation, the leaders or an answer are awaited."""


@RobotConfig.register_subclass("ros2_bimanual")
@dataclass(kw_only=True)
class Ros2BimanualConfig(GraphConfig, RobotConfig):
    """The robot of a running graph."""

    lead: bool = True
    """Whether actions of LeRobot lead the arms, on the topics of the leader arms. False: somebody else leads them, and
    LeRobot looks on (`--teleop.type=ros2_leaders`)."""


@TeleoperatorConfig.register_subclass("ros2_leaders")
@dataclass(kw_only=True)
class Ros2LeadersConfig(GraphConfig, TeleoperatorConfig):
    """What leads the arms of a running graph: leader arms, a SpaceMouse, the scripted operator of the simulator."""
