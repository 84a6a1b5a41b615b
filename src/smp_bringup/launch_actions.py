"""The node graph as actions of launch_ros; imported by the launch files only."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, NoReturn

from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchDescription
from smp_bringup.config import bounds_text
from smp_bringup.environment import prepare_environment
from smp_bringup.errors import EXIT_CODE, ConfigError, SmpError, one_line
from smp_bringup.graph import MAX_RESPAWNS, RESPAWN_DELAY_S, Argument, NodeSpec, require_startable
from smp_bringup.launcher import NodeDied
from smp_bringup.names import enclave
from smp_bringup.security import require_security

Graph = Callable[..., Sequence[NodeSpec]]


def description(
    arguments: type, graph: Graph, remarks: Callable[..., Sequence[str]] = lambda **_: (), **defaults: Argument
) -> LaunchDescription:
    """Return a launch file's description: the arguments, and the graph that is made of them.

    What cannot start ends the launch with one line and exit code 2, before anything starts.

    Args:
        arguments: dataclass whose fields are the launch arguments.
        graph: takes them by name and returns the nodes.
        remarks: takes them too and returns what the user is told.
        defaults: of this launch file, where they are not those of the dataclass.
    """

    def start(context: Any) -> list[Any]:
        try:
            asked = {f.name: _read(context, f) for f in fields(arguments)}
            specs = graph(**asked)
            require_startable(specs)
            prepare_environment()
            require_security([spec.full_name for spec in specs])
            return [*(LogInfo(msg=line) for line in remarks(**asked)), *_Nodes(specs).actions]
        except SmpError as error:
            print(f"error: {one_line(error)}", file=sys.stderr)
            _leave(error)

    declared = [
        DeclareLaunchArgument(
            f.name, default_value=_text(defaults.get(f.name, f.default)), description=_help(f.metadata)
        )
        for f in fields(arguments)
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])


def _text(default: Any) -> str:
    if default is MISSING:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def _help(meta: Mapping[str, Any]) -> str:
    unit = f" [{meta['unit']}]" if meta["unit"] else ""
    choices = f" ({', '.join(meta['choices'])})" if meta["choices"] else bounds_text(meta)
    return f"{meta['help']}{unit}{choices}"


def _read(context: Any, field: Any) -> Argument:
    """Return a launch argument as the type of its field."""
    text, kind = str(LaunchConfiguration(field.name).perform(context)), field.type
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        word = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise ConfigError(f"launch argument {field.name} must be {word}, got '{text}'") from None


class _Nodes:
    """The launch_ros nodes of a graph; the end of any of them that is not respawned ends the launch.

    Where a node failed, the last of ours to end takes the launch with it.
    """

    def __init__(self, specs: Sequence[NodeSpec]) -> None:
        self._retries = {spec.name: MAX_RESPAWNS if spec.respawn else 0 for spec in specs}
        self._needed = {spec.name for spec in specs if spec.needed}
        self._failed = False
        self.actions = [self._node(spec) for spec in specs]

    def _node(self, spec: NodeSpec) -> Node:
        again = {"respawn": True, "respawn_delay": RESPAWN_DELAY_S, "respawn_max_retries": MAX_RESPAWNS}
        return Node(
            package="smp_bringup",
            executable=spec.executable,
            name=spec.name,
            namespace="" if spec.namespace == "/" else spec.namespace,  # so that a launch file around ours can push one
            parameters=[{k: ParameterValue(v, value_type=type(v)) for k, v in spec.parameters.items()}],
            remappings=list(spec.remappings.items()),
            ros_arguments=["--enclave", enclave(spec.full_name)],
            output="screen",
            on_exit=lambda event, context: self._ended(spec.name, event.returncode, context),
            **(again if spec.respawn else {}),
        )

    def _ended(self, name: str, code: int, context: Any) -> Shutdown | None:
        if not context.is_shutdown:
            if code != EXIT_CODE and self._retries[name]:
                self._retries[name] -= 1
                return None
            if name not in self._needed:
                return None
            self._failed = code != 0
        if self._failed and not any(map(_runs, self.actions)):
            _leave(NodeDied(f"a node of ours failed: {name} was the last to end"))
        return None if context.is_shutdown else Shutdown(reason=f"{name} ended with code {code}")


def _runs(node: Node) -> bool:
    """Return whether the process of a node lives."""
    return str((node.process_details or {}).get("pid")) in _children()


def _children() -> set[str]:
    """Return the processes that this launch has started and that still live."""
    return {pid for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}


def _leave(error: SmpError) -> NoReturn:
    """End the launch with our exit code.

    `launch` has none but 0, and 1 after an exception, with which it first stops what runs: a launch file around ours
    may have started more than our nodes.
    """
    raise error if _children() else SystemExit(EXIT_CODE)
