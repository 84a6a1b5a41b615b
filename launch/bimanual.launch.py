"""Sync, policy and command for two arms; with sim:=true, a simulated robot stands in for the drivers."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from launch import LaunchDescription
from smp_bringup.graph import build_graph
from smp_bringup.launch_actions import argument, boolean, nodes

ARGUMENTS = {
    "robot": ("aloha", "robot in config/robots, or a path to a YAML file"),
    "model": ("smp_aloha", "shipped model, or a path to a checkpoint folder"),
    "device": ("cpu", "cpu or cuda"),
    "safety": ("default", "settings in config/safety, or a path to a YAML file"),
    "sim": ("false", "simulate the robot"),
    "task": ("transfer_cube", "first task of the simulator"),
    "seed": ("0", "first seed of the simulator"),
    "teleop": ("false", "read the leader arms too"),
}


def _graph(context):
    read = argument(context)
    return nodes(
        build_graph(
            robot=read("robot"),
            model=read("model"),
            device=read("device"),
            safety=read("safety"),
            sim=boolean(read("sim")),
            task=read("task"),
            seed=int(read("seed")),
            teleop=boolean(read("teleop")),
        )
    )


def generate_launch_description():
    """Return the arguments and the nodes they describe."""
    declared = [DeclareLaunchArgument(k, default_value=v, description=d) for k, (v, d) in ARGUMENTS.items()]
    return LaunchDescription([*declared, OpaqueFunction(function=_graph)])
