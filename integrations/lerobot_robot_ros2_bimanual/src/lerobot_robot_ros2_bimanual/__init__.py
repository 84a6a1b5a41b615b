"""A robot on ROS 2 and its leaders for LeRobot; LeRobot imports this package by its name and finds them."""

from lerobot_robot_ros2_bimanual.config_ros2_bimanual import Ros2BimanualConfig, Ros2LeadersConfig
from lerobot_robot_ros2_bimanual.leaders import Ros2Leaders
from lerobot_robot_ros2_bimanual.robot import Ros2Bimanual
from smp_bringup.lerobot.uncaught import say_errors

__all__ = ["Ros2Bimanual", "Ros2BimanualConfig", "Ros2Leaders", "Ros2LeadersConfig"]

say_errors()
