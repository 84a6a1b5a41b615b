"""The live sync and policy nodes over a recorded bag, on the bag's clock; nothing drives the arms."""

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction

from launch import LaunchDescription
from smp_bringup.graph import replay_graph
from smp_bringup.launch_actions import argument, nodes

ARGUMENTS = {
    "bag": ("", "bag to play"),
    "robot": ("aloha", "robot in config/robots, or a path to a YAML file"),
    "model": ("smp_aloha", "shipped model, or a path to a checkpoint folder"),
    "device": ("cpu", "cpu or cuda"),
}


def _graph(context):
    read = argument(context)
    player = ExecuteProcess(cmd=["ros2", "bag", "play", read("bag"), "--clock", "100"], output="screen")
    graph = replay_graph(robot=read("robot"), model=read("model"), device=read("device"))
    return [*nodes(graph), player]


def generate_launch_description():
    """Return the arguments, the nodes and the player."""
    declared = [DeclareLaunchArgument(k, default_value=v, description=d) for k, (v, d) in ARGUMENTS.items()]
    return LaunchDescription([*declared, OpaqueFunction(function=_graph)])
