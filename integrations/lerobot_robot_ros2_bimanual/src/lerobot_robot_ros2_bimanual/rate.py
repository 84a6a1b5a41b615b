"""How often LeRobot records, against how often the graph sees."""

from lerobot.configs import parser
from lerobot.configs.dataset import DatasetRecordConfig

from smp_bringup.errors import ConfigError, one_line
from smp_bringup.robot import Robot


def require_rate(robot: Robot) -> None:
    """Refuse a recording of more frames a second than there are observations: it would play too fast.

    LeRobot tells a robot nothing of the dataset, but reads its command line in places as this does. A file of
    --config_path is not looked into.

    Raises:
        ConfigError: the command line asks for more.
    """
    recorded = parser.parse_arg("dataset.repo_id") and parser.parse_arg("dataset.episode") is None  # no lerobot-replay
    told = parser.parse_arg("dataset.fps") or str(DatasetRecordConfig.fps)
    rate = robot.cameras[0].rate_hz
    if recorded and told.isdecimal() and not 0 < int(told) <= rate:
        raise ConfigError(
            f"--dataset.fps={one_line(told)}: robot '{robot.name}' gives {rate:g} observations a second: "
            f"give --dataset.fps={int(rate)}, or less"
        )
