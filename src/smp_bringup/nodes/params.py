"""The parameters of every node: declared once, here, with unit, range and text.

`python -m smp_bringup.nodes.params` prints docs/parameters.md.
"""

import dataclasses
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import yaml
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node

from smp_bringup import config
from smp_bringup.action.seam import DEFAULT_SEAM, SEAMS
from smp_bringup.config import bounds_text, spec
from smp_bringup.errors import ConfigError, nearest, one_line
from smp_bringup.record.stops import STOPS

T = TypeVar("T")
_LIVE = {"live": True}
"""Of a parameter that is looked at again while the node runs; every other is read once, and cannot be set."""
_LARGEST_INT = 2**63 - 1

_FOREIGN = ("use_sim_time", "qos_overrides.", "start_type_description_service")
"""Parameters that rclpy itself understands."""


def robot_parameter() -> str:
    """Return the field that names a robot (typed as what it holds)."""
    return field(default="aloha", metadata=spec(help="robot in config/robots, or a path to a YAML file"))


def autostart_parameter() -> bool:
    """Return the field of a managed node (typed as what it holds)."""
    text = "configure and activate at once; false: wait for `ros2 lifecycle set`"
    return field(default=True, metadata=spec(help=text))


@dataclass(frozen=True)
class SyncParams:
    """Cameras and joints in, observations out."""

    robot: str = robot_parameter()
    autostart: bool = autostart_parameter()
    aligner: str = field(
        default="interpolating",
        metadata=spec(
            choices=("interpolating", "message_filters"),
            help="ours, or ApproximateTimeSynchronizer of ROS 2 for comparison",
        ),
    )


@dataclass(frozen=True)
class PolicyParams:
    """Observations in, action chunks out."""

    robot: str = robot_parameter()
    autostart: bool = autostart_parameter()
    model: str = field(
        default="",
        metadata=spec(help="shipped model, a path to a checkpoint folder, or lerobot:PATH; empty: the robot's"),
    )
    device: str = field(default="cpu", metadata=spec(choices=("cpu", "cuda"), help="where inference runs"))
    experts_mb: float = field(
        default=0.0,
        metadata=spec(
            ge=0, unit="MB", help="memory for experts; others are read from the model when they are needed; 0: all"
        ),
    )
    seed: int = field(default=0, metadata=spec(ge=0, help="of the initial noise of every chunk"))
    seam: str = field(
        default=DEFAULT_SEAM, metadata=spec(choices=SEAMS, help="how a new chunk joins the one in execution")
    )
    deadline_s: float = field(
        default=0.0,
        metadata=spec(
            ge=0,
            le=10,
            unit="s",
            help="an inference that takes longer makes the next one cheaper; 0: the policy's replanning period",
        ),
    )
    hung_s: float = field(
        default=5.0,
        metadata=spec(gt=0, le=600, unit="s", help="an inference that takes longer hangs: the process ends"),
    )
    allow_cpu_fallback: bool = field(
        default=False, metadata=spec(help="whether the CPU may stand in for a GPU that is missing or lost")
    )
    task: str = field(
        default="",
        metadata=spec(help="what to do, in config/tasks or in words, for a policy that is told; it waits until it is")
        | _LIVE,
    )


@dataclass(frozen=True)
class CommandParams:
    """Chunks and teleoperation in, setpoints for both arms out."""

    robot: str = robot_parameter()
    autostart: bool = autostart_parameter()
    safety: str = field(
        default="", metadata=spec(help="settings in config/safety, or a path to a YAML file; empty: the robot's")
    )
    realtime: str = field(
        default="prefer",
        metadata=spec(
            choices=("require", "prefer", "off"),
            help="SCHED_FIFO and locked memory: end without them, run without them, or do not ask",
        ),
    )
    cpus: str = field(default="", metadata=spec(help="CPUs to run on, comma-separated; empty leaves it to the system"))
    replayed: bool = field(
        default=False, metadata=spec(help="the arms are those of a bag and go where they went: nothing is trimmed")
    )


@dataclass(frozen=True)
class TeleopParams:
    """Leader arms in, one setpoint for both followers out."""

    robot: str = robot_parameter()
    noise: float = field(
        default=0.0,
        metadata=spec(ge=0, le=0.1, unit="rad", help="tremor added to what the followers are told"),
    )
    seed: int = field(default=0, metadata=spec(ge=0, help="of the tremor"))


@dataclass(frozen=True)
class RecorderParams:
    """Every topic of an episode into a bag."""

    robot: str = robot_parameter()
    autostart: bool = autostart_parameter()
    out: str = field(default="data/demos", metadata=spec(help="folder of the bags") | _LIVE)
    task: str = field(
        default="unnamed",
        metadata=spec(help="task that the next episode shows, in config/tasks or in words; or a queue: a*20, b*5")
        | _LIVE,
    )
    safety: str = field(default="", metadata=spec(help="safety settings that travel in the bag; empty: the robot's"))
    settings: str = field(default="default", metadata=spec(help="settings in config/recording, or a path"))


@dataclass(frozen=True)
class BlackBoxParams:
    """The last seconds before every stop, as a bag with a page."""

    robot: str = robot_parameter()
    safety: str = field(default="", metadata=spec(help="safety settings that travel in the bag; empty: the robot's"))
    out: str = field(default=STOPS, metadata=spec(help="folder of the stops"))
    task: str = field(default="unnamed", metadata=spec(help="label of the bags"))
    model: str = field(default="", metadata=spec(help="that the page names to replay a stop; empty: none"))
    seconds: float = field(default=30.0, metadata=spec(ge=1, le=300, unit="s", help="that are kept before a stop"))
    kept: int = field(
        default=20, metadata=spec(ge=1, le=10000, help="stops on the disk: of more the oldest go, holds first")
    )
    memory_mib: float = field(default=192.0, metadata=spec(ge=1, le=8192, unit="MiB", help="of messages, at most"))


@dataclass(frozen=True)
class SimParams:
    """A simulated robot that publishes what its drivers would."""

    robot: str = robot_parameter()
    task: str = field(
        default="transfer_cube", metadata=spec(help="task in config/tasks; taken at the next reset") | _LIVE
    )
    seed: int = field(default=0, metadata=spec(ge=0, help="of the layout; taken at the next reset") | _LIVE)
    operator: str = field(
        default="none",
        metadata=spec(choices=("none", "scripted"), help="who moves the simulated leader arms"),
    )
    camera_latency_s: float = field(
        default=0.0, metadata=spec(ge=0, le=1, unit="s", help="a frame arrives so long after its stamp")
    )
    camera_jitter_s: float = field(
        default=0.0, metadata=spec(ge=0, le=1, unit="s", help="spread of the latency, uniform")
    )
    publish_clock: bool = field(default=False, metadata=spec(help="publish /clock with the simulated time"))


@dataclass(frozen=True)
class DescriptionParams:
    """The robot's description and transforms, for RViz, Foxglove and Rerun."""

    robot: str = robot_parameter()
    rate_hz: float = field(
        default=20.0, metadata=spec(ge=0.1, le=200, unit="Hz", help="of the transforms, as robot_state_publisher's")
    )


@dataclass(frozen=True)
class ReplayParams:
    """A bag at real time, with its clock, to the live nodes."""

    bag: str = field(default="", metadata=spec(help="bag to play: a folder or a file"))
    robot: str = field(default="", metadata=spec(help="robot, where the bag carries none"))
    rate: float = field(default=1.0, metadata=spec(gt=0, le=10, help="speed of the bag's clock, 1 being real time"))


NODES: dict[str, type] = {
    "sync": SyncParams,
    "policy": PolicyParams,
    "command": CommandParams,
    "teleop": TeleopParams,
    "recorder": RecorderParams,
    "sim": SimParams,
    "replay": ReplayParams,
    "description": DescriptionParams,
    "blackbox": BlackBoxParams,
}


def declare(node: Node, cls: type[T]) -> T:
    """Declare the fields of `cls` on `node` and return their values; what is read once cannot be set later.

    Parameters of sections of files that are meant for several nodes (`/**`) may be somebody else's: those that are
    not ours are left alone, with a warning where one of ours has nearly that name.

    Raises:
        ConfigError: a parameter is unknown, of the wrong type, or out of range.
    """
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = [n for n in node._parameter_overrides if n not in known and not n.startswith(_FOREIGN)]
    shared = _shared() if unknown else set()
    for name in unknown:
        meant = nearest(name, known)
        if name not in shared:
            raise ConfigError(f"{node.get_name()}: unknown parameter '{name}'{meant}; allowed: {', '.join(known)}")
        if meant:
            node.get_logger().warning(f"parameter '{one_line(name)}' of several nodes is none of ours{meant}")
    values = {}
    for name, f in known.items():
        try:
            values[name] = node.declare_parameter(name, f.default, _descriptor(type(f.default), f.metadata)).value
        except InvalidParameterValueException:  # out of its range: refused below, in our words
            values[name] = node._parameter_overrides[name].value
        except (InvalidParameterTypeException, ParameterUninitializedException):
            given = node._parameter_overrides[name].value
            words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
            raise ConfigError(
                f"{node.get_name()}: {name} must be {words[type(f.default)]}{bounds_text(f.metadata)}, got '{given}'"
            ) from None
    return config.build(cls, values, node.get_name())


def _shared() -> set[str]:
    """Return the names that the parameter files of our command line give to sections with a wildcard."""
    files = [word for option, word in pairwise(sys.argv) if option == "--params-file"]
    return {name for file in files for name in _wild(yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {})}


def _wild(sections: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the parameters of every section whose name, with those around it, holds a wildcard."""
    for name, inner in sections.items():
        if name != "ros__parameters":
            yield from _wild(inner, f"{path}/{name}")
        elif "*" in path:
            yield from _flat(inner)


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the names of nested parameters as ROS has them, with dots."""
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _descriptor(kind: type, meta: Mapping[str, Any]) -> ParameterDescriptor:
    """Return what `ros2 param describe` shows: text, choices, range, and whether it can be set."""
    descriptor = ParameterDescriptor(
        description=meta["help"] + bounds_text(meta),
        additional_constraints=f"one of {', '.join(meta['choices'])}" if meta["choices"] else "",
        read_only=not meta.get("live"),
    )
    low = meta["ge"] if meta["gt"] is None else math.nextafter(meta["gt"], math.inf)
    high = meta["le"] if meta["lt"] is None else math.nextafter(meta["lt"], -math.inf)
    if low is None and high is None:
        return descriptor
    if kind is int:
        least, most = (-_LARGEST_INT if low is None else math.ceil(low)), (_LARGEST_INT if high is None else int(high))
        descriptor.integer_range = [IntegerRange(from_value=least, to_value=most)]
    else:
        lowest, highest = (-math.inf if low is None else float(low)), (math.inf if high is None else float(high))
        descriptor.floating_point_range = [FloatingPointRange(from_value=lowest, to_value=highest)]
    return descriptor


def current(node: Node, cls: type[T]) -> T:
    """Return the present values of the parameters that `declare` declared; raises ConfigError like it."""
    values = {f.name: node.get_parameter(f.name).value for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return config.build(cls, values, node.get_name())


_FILES = """\
`ros2 param describe` shows text, range and choices. An unknown parameter is refused, with the nearest name. Sections of
a `--params-file` with a wildcard (`/**`) may hold parameters of other nodes: they are left alone, with a warning where
one of ours has nearly that name."""


def parameters_markdown() -> str:
    """Return the parameters of all nodes as the page docs/parameters.md."""
    lines = ["# Parameters", "", "Generated by `python -m smp_bringup.nodes.params`.", "", _FILES, ""]
    for name, cls in NODES.items():
        lines += [
            f"## {name}",
            "",
            f"{cls.__doc__}",
            "",
            "| parameter | default | unit | allowed | text |",
            "|---|---|---|---|---|",
        ]
        for f in dataclasses.fields(cls):
            meta = f.metadata
            allowed = ", ".join(meta["choices"]) if meta["choices"] else bounds_text(meta).removeprefix(" in ")
            lines.append(f"| `{f.name}` | `{f.default}` | {meta['unit']} | {allowed} | {meta['help']} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(parameters_markdown(), end="")
