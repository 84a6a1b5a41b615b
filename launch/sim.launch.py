"""A simulated robot alone: cameras, joint states, and arms that follow setpoints."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction

from launch import LaunchDescription
from smp_bringup.graph import NodeSpec
from smp_bringup.launch_actions import argument, boolean, nodes

ARGUMENTS = {
    "robot": ("aloha", "robot in config/robots, or a path to a YAML file"),
    "task": ("transfer_cube", "first task"),
    "seed": ("0", "first seed"),
    "operator": ("none", "none, or scripted: moves the leader arms"),
    "camera_latency_s": ("0.0", "a frame arrives so long after its stamp"),
    "camera_jitter_s": ("0.0", "spread of the latency, uniform"),
    "publish_clock": ("false", "publish /clock with the simulated time"),
}


def _graph(context):
    read = argument(context)
    parameters = {
        "robot": read("robot"),
        "task": read("task"),
        "seed": int(read("seed")),
        "operator": read("operator"),
        "camera_latency_s": float(read("camera_latency_s")),
        "camera_jitter_s": float(read("camera_jitter_s")),
        "publish_clock": boolean(read("publish_clock")),
    }
    return nodes((NodeSpec("sim", parameters),))


def generate_launch_description():
    """Return the arguments and the node they describe."""
    declared = [DeclareLaunchArgument(k, default_value=v, description=d) for k, (v, d) in ARGUMENTS.items()]
    return LaunchDescription([*declared, OpaqueFunction(function=_graph)])
