"""The node graph as data: what the launch files and `smp up` both start."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from smp_bringup import config
from smp_bringup.action.seam import DEFAULT_SEAM, SEAMS
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError, ModelError, SmpError, UnknownNameError
from smp_bringup.names import full_name, full_namespace
from smp_bringup.pipeline import build_policy
from smp_bringup.robot import Robot, load_robot
from smp_bringup.safety.config import BARE_SAFETY, load_safety, safety_of

NODE_NAMES = ("sim", "sync", "policy", "command", "teleop", "recorder", "replay", "description", "blackbox")
MANAGED = ("sync", "policy", "command", "recorder")
"""Those with the life cycle of ROS 2 (docs/adr/0007)."""
NODES = "smp_bringup.nodes"
"""Package of the modules that run them."""
NO_MODEL = "none"
"""Word for a graph without a policy."""
Argument: TypeAlias = str | int | float | bool


@dataclass(frozen=True)
class NodeSpec:
    """One process of the graph."""

    name: str
    parameters: dict[str, Argument] = field(default_factory=dict)
    remappings: dict[str, str] = field(default_factory=dict)
    """Topics that the node finds under another name."""
    respawn: bool = False
    """Whether it is started again when it dies (at most `MAX_RESPAWNS` times); the command node then holds."""

    needed: bool = True
    """Whether the graph ends when it dies for good; of one that is not, only that is said."""
    package: str = NODES
    """Package that holds its module."""
    namespace: str = "/"

    @property
    def full_name(self) -> str:
        """Return the name of the node with its namespace."""
        return full_name(self.name, self.namespace)

    @property
    def executable(self) -> str:
        """Name of the executable, and of its module."""
        return f"{self.name}_node"

    @property
    def module(self) -> str:
        """Return the module that is run."""
        return f"{self.package}.{self.executable}"


MAX_RESPAWNS = 3
RESPAWN_DELAY_S = 1.0


@dataclass(frozen=True)
class GraphArguments:
    """What a graph is started with: the arguments of bimanual.launch.py, and the options of `smp up`."""

    robot: str = field(default="aloha", metadata=spec(help="robot in config/robots, or a path to a YAML file"))
    model: str = field(
        default="",
        metadata=spec(
            help="shipped model, a path to a checkpoint folder, or lerobot:PATH; empty: the robot's; "
            f"{NO_MODEL}: no policy"
        ),
    )
    safety: str = field(
        default="", metadata=spec(help="settings in config/safety, or a path to a YAML file; empty: the robot's")
    )
    namespace: str = field(default="", metadata=spec(help="of the nodes and of all relative names, e.g. robot1"))
    side: str = field(
        default="all",
        metadata=spec(choices=("all", "robot", "gpu"), help="nodes that run here: all, all but the policy, the policy"),
    )
    device: str = field(default="cpu", metadata=spec(choices=("cpu", "cuda"), help="where inference runs"))
    experts_mb: float = field(
        default=0.0, metadata=spec(ge=0, unit="MB", help="memory for experts of a policy that does not fit; 0: all")
    )
    seam: str = field(
        default=DEFAULT_SEAM, metadata=spec(choices=SEAMS, help="how a new chunk joins the one in execution")
    )
    deadline_s: float = field(
        default=0.0, metadata=spec(ge=0, le=10, unit="s", help="of an inference; 0: the policy's replanning period")
    )
    realtime: str = field(
        default="prefer",
        metadata=spec(choices=("require", "prefer", "off"), help="SCHED_FIFO and locked memory of the command node"),
    )
    cpus: str = field(default="", metadata=spec(help="CPUs of the command node, comma-separated; empty: any"))
    use_sim_time: bool = field(
        default=False, metadata=spec(help="stamps are of /clock; the simulated robot publishes it")
    )
    autostart: bool = field(
        default=True, metadata=spec(help="configure and activate at once; false: wait for `ros2 lifecycle set`")
    )
    sim: bool = field(default=False, metadata=spec(help="simulate the robot"))
    task: str = field(default="transfer_cube", metadata=spec(help="first task of the simulator, label of the episodes"))
    seed: int = field(default=0, metadata=spec(ge=0, help="first seed of the simulator"))
    teleop: bool = field(
        default=False, metadata=spec(help="read the leader arms too; in simulation a scripted operator moves them")
    )
    operator: str = field(
        default="scripted",
        metadata=spec(
            choices=("scripted", "none"),
            help="who moves the leader arms in simulation; none: you do, by leader arms of your own or LeRobot's",
        ),
    )
    noise: float = field(
        default=0.0, metadata=spec(ge=0, le=0.1, unit="rad", help="tremor added to what the followers are told")
    )
    record: str = field(default="", metadata=spec(help="folder for bags; empty: no recorder"))
    recording: str = field(default="default", metadata=spec(help="settings in config/recording, or a path"))
    blackbox: str = field(
        default="", metadata=spec(help="folder for the last 30 s before every stop; empty: they are not kept")
    )


def build_graph(**arguments: Argument) -> tuple[NodeSpec, ...]:
    """Return the processes of a graph with these `GraphArguments`.

    Raises:
        ConfigError: an argument is unknown or out of range, or there is no such robot or safety settings.
    """
    asked = config.build(GraphArguments, arguments, "graph")
    namespace = full_namespace(asked.namespace)
    robot = load_robot(asked.robot, namespace)
    model, safety = asked.model or robot.model or NO_MODEL, safety_of(robot, asked.safety)
    _require_safety(robot, safety, asked.safety)
    about: dict[str, Argument] = {"robot": asked.robot}
    if asked.use_sim_time:
        about["use_sim_time"] = True
    here: list[NodeSpec] = []
    if asked.sim:
        operator = asked.operator if asked.teleop else "none"
        shown: dict[str, Argument] = {"task": asked.task, "seed": asked.seed, "operator": operator}
        here.append(NodeSpec("sim", {"robot": asked.robot, **shown, "publish_clock": asked.use_sim_time}))
    here.append(NodeSpec("sync", dict(about)))
    here.append(NodeSpec("command", {**about, "safety": safety, "realtime": asked.realtime, "cpus": asked.cpus}))
    if model != NO_MODEL:
        runs = {**_inference(model, asked), "experts_mb": asked.experts_mb}
        here.append(NodeSpec("policy", {**about, **runs}, respawn=True))
    if asked.teleop and not (asked.sim and robot.is_led_by_none):  # the simulator speaks for such an operator
        here.append(NodeSpec("teleop", {**about, "noise": asked.noise}))
    if robot.description:
        here.append(NodeSpec("description", dict(about)))
    if asked.record:
        labels = {"task": asked.task, "safety": safety, "out": asked.record, "settings": asked.recording}
        here.append(NodeSpec("recorder", {**about, **labels}))
    if asked.blackbox:
        task = asked.task if asked.sim or asked.record else "unnamed"
        kept = {"task": task, "safety": safety, "out": asked.blackbox, "model": model}
        here.append(NodeSpec("blackbox", {**about, **kept}, respawn=True, needed=False))
    if not asked.autostart:
        for node in here:
            node.parameters.update({"autostart": False} if node.name in MANAGED else {})
    chosen = tuple(replace(node, namespace=namespace) for node in here if _stands(node.name, asked.side))
    if not chosen:
        raise ConfigError(f"nothing to run on the GPU's side: robot '{robot.name}' names no model: name one by model:=")
    return chosen


def _require_safety(robot: Robot, safety: str, asked: str) -> None:
    """Raise SmpError where there are no such settings; of those that the robot's file names, the error says so."""
    try:
        load_safety(safety)
    except SmpError as error:
        if asked or not robot.safety:
            raise
        raise ConfigError(f"safety: of robot '{robot.name}': {error}") from None


def _inference(model: str, asked: "GraphArguments | ReplayArguments") -> dict[str, Argument]:
    return {"model": model, "device": asked.device, "seam": asked.seam, "deadline_s": asked.deadline_s}


def _stands(node: str, side: str) -> bool:
    """Return whether a node runs on one of the two machines."""
    return side == "all" or (node == "policy") == (side == "gpu")


def require_startable(nodes: Sequence[NodeSpec]) -> None:
    """Load robots and policy of a graph, so that what it is refused for is said before anything starts.

    Raises:
        ConfigError: a robot is unknown or wrong.
        ModelError: the policy is no checkpoint, or not for this robot.
        InstallError: its device is not here.
    """
    for robot in sorted({str(node.parameters.get("robot", "")) for node in nodes} - {""}):
        load_robot(robot)
    for node in nodes:
        if node.name == "policy":
            _require_policy(node)


def _require_policy(node: NodeSpec) -> None:
    from smp_bringup.policy.checkpoint import find_model

    model, robot, device = (str(node.parameters[name]) for name in ("model", "robot", "device"))
    body = load_robot(robot)
    try:
        folder = find_model(model)
    except UnknownNameError:
        if model != body.model:
            raise
        raise ModelError(
            f"robot '{body.name}' names model '{model}' in its file, which is no folder and no shipped model: "
            "train one (smp train --bags data), or start without: model:=none"
        ) from None
    build_policy(folder, body, device, experts_mb=float(node.parameters.get("experts_mb", 0.0)))


def remarks(**arguments: Argument) -> list[str]:
    """Return what a user of a graph with these `GraphArguments` may not expect, a line each."""
    asked = config.build(GraphArguments, arguments, "graph")
    robot, said = load_robot(asked.robot), []
    if asked.side != "robot" and not (asked.model or robot.model):
        said.append(
            f"no policy runs: robot '{robot.name}' names no model in its file: train one (smp train --bags data), "
            "and write it there as model:, or name it at start"
        )
    if asked.side != "gpu" and not (asked.safety or robot.safety):
        named = safety_of(robot)
        lacks = "no shapes of its links are known, and no distances are watched"
        said.append(
            f"robot '{robot.name}' names no safety settings in its file: config/safety/{named}.yaml is taken: "
            f"{lacks if named == BARE_SAFETY else 'their workspace is hardly yours'}; "
            "smp robot new writes some, name them there as safety:"
        )
    return said


@dataclass(frozen=True)
class ReplayArguments:
    """What the live nodes over a bag are started with: the arguments of replay.launch.py."""

    bag: str = field(metadata=spec(help="bag to play: a folder or a file"))
    robot: str = field(default="aloha", metadata=spec(help="robot in config/robots, or a path to a YAML file"))
    model: str = field(
        default="",
        metadata=spec(help="shipped model, a path to a checkpoint folder, or lerobot:PATH; empty: the robot's"),
    )
    device: str = field(default="cpu", metadata=spec(choices=("cpu", "cuda"), help="where inference runs"))
    safety: str = field(
        default="", metadata=spec(help="settings in config/safety, or a path to a YAML file; empty: the robot's")
    )
    rate: float = field(default=1.0, metadata=spec(gt=0, le=10, help="speed of the bag's clock, 1 being real time"))
    seam: str = field(default=DEFAULT_SEAM, metadata=spec(choices=SEAMS, help="how chunks are joined"))
    deadline_s: float = field(
        default=0.0, metadata=spec(ge=0, le=10, unit="s", help="of an inference; 0: the policy's replanning period")
    )


def replay_graph(**arguments: Argument) -> tuple[NodeSpec, ...]:
    """Return the live nodes over a bag, on its clock; what the command node says goes to /replay/..., never to an arm.

    Raises:
        ConfigError: one of the `ReplayArguments` is unknown or out of range, or there is no bag or no model to run.
    """
    asked = config.build(ReplayArguments, arguments, "replay")
    if not asked.bag:
        raise ConfigError("name the bag to play by bag:=, a folder or a file")
    robot = load_robot(asked.robot)
    model, safety = asked.model or robot.model, safety_of(robot, asked.safety)
    if not model:
        raise ConfigError(f"robot '{robot.name}' names no model in its file: name one by model:=")
    away = {told.topic: f"/replay{told.topic}" for told in robot.command_topics}
    sim: dict[str, Argument] = {"robot": asked.robot, "use_sim_time": True}
    runs = _inference(model, asked)
    return (
        NodeSpec("sync", dict(sim)),
        NodeSpec("policy", {**sim, **runs}),
        NodeSpec("command", {**sim, "safety": safety, "replayed": True}, away),
        NodeSpec("replay", {"bag": asked.bag, "robot": asked.robot, "rate": asked.rate}),
    )
