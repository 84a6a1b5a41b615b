"""The node graph as actions of launch_ros; imported by the launch files only."""

from collections.abc import Callable, Sequence
from typing import Any

from launch.actions import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from smp_bringup.access import enclave
from smp_bringup.environment import prepare_environment
from smp_bringup.errors import ConfigError
from smp_bringup.graph import MAX_RESPAWNS, RESPAWN_DELAY_S, NodeSpec
from smp_bringup.security import require_security


def argument(context: Any) -> Callable[[str], str]:
    """Return a function that reads a launch argument."""
    return lambda name: str(LaunchConfiguration(name).perform(context))


def boolean(text: str) -> bool:
    """Return a launch argument that must be true or false."""
    if text.lower() not in ("true", "false"):
        raise ConfigError(f"a launch argument must be true or false, got '{text}'")
    return text.lower() == "true"


def nodes(graph: Sequence[NodeSpec]) -> list[Node]:
    """Return launch_ros nodes; the end of any of them that is not respawned ends the launch."""
    prepare_environment()
    require_security([spec.name for spec in graph])
    return [_node(spec) for spec in graph]


def _node(spec: NodeSpec) -> Node:
    again: dict[str, Any] = {"on_exit": [Shutdown(reason=f"{spec.name} ended")]}
    if spec.respawn:
        again = {"respawn": True, "respawn_delay": RESPAWN_DELAY_S, "respawn_max_retries": MAX_RESPAWNS}
    return Node(
        package="smp_bringup",
        executable=spec.executable,
        name=spec.name,
        parameters=[spec.parameters],
        remappings=list(spec.remappings.items()),
        ros_arguments=["--enclave", enclave(spec.name)],
        output="screen",
        **again,
    )
