"""The live sync, policy and command nodes over a recorded bag, on the bag's clock; nothing drives the arms."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from launch import LaunchDescription
from smp_bringup.graph import replay_graph
from smp_bringup.launch_actions import argument, nodes

ARGUMENTS = {
    "bag": ("", "bag to play"),
    "robot": ("aloha", "robot in config/robots, or a path to a YAML file"),
    "model": ("smp_aloha", "shipped model, or a path to a checkpoint folder"),
    "device": ("cpu", "cpu or cuda"),
    "safety": ("default", "settings in config/safety, or a path to a YAML file"),
    "seam": ("inpaint", "how chunks are joined: latest, blend, inpaint or prefix"),
    "rate": ("1.0", "speed of the bag's clock, 1 being real time"),
}


def _graph(context):
    read = argument(context)
    words = {name: read(name) for name in ("bag", "robot", "model", "device", "safety", "seam")}
    return nodes(replay_graph(**words, rate=float(read("rate"))))


def generate_launch_description():
    """Return the arguments and the nodes; the end of the bag ends them."""
    declared = [DeclareLaunchArgument(k, default_value=v, description=d) for k, (v, d) in ARGUMENTS.items()]
    return LaunchDescription([*declared, OpaqueFunction(function=_graph)])
