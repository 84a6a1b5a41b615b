"""Teleoperation and the recorder: leaders drive the followers, episodes go to bags."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from launch import LaunchDescription
from smp_bringup.graph import build_graph
from smp_bringup.launch_actions import argument, boolean, nodes

ARGUMENTS = {
    "robot": ("aloha", "robot in config/robots, or a path to a YAML file"),
    "safety": ("default", "settings in config/safety, or a path to a YAML file"),
    "sim": ("false", "simulate the robot, with a scripted operator"),
    "task": ("transfer_cube", "task that the episodes show"),
    "out": ("data/demos", "folder of the bags"),
    "recording": ("default", "settings in config/recording, or a path to a YAML file"),
    "noise": ("0.0", "tremor added to what the followers are told [rad]"),
}


def _graph(context):
    read = argument(context)
    return nodes(
        build_graph(
            robot=read("robot"),
            model=None,
            safety=read("safety"),
            sim=boolean(read("sim")),
            task=read("task"),
            teleop=True,
            record=read("out"),
            recording=read("recording"),
            noise=float(read("noise")),
        )
    )


def generate_launch_description():
    """Return the arguments and the nodes they describe."""
    declared = [DeclareLaunchArgument(k, default_value=v, description=d) for k, (v, d) in ARGUMENTS.items()]
    return LaunchDescription([*declared, OpaqueFunction(function=_graph)])
