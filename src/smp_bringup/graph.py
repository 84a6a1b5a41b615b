"""The node graph as data: what the launch files and `smp up` both start."""

from dataclasses import dataclass, field

from smp_bringup.action.seam import DEFAULT_SEAM
from smp_bringup.robot import load_robot

NODE_NAMES = ("sim", "sync", "policy", "command", "teleop", "recorder", "replay", "description")
NODES = "smp_bringup.nodes"
"""Package of the modules that run them."""


@dataclass(frozen=True)
class NodeSpec:
    """One process of the graph."""

    name: str
    parameters: dict[str, str | int | float | bool] = field(default_factory=dict)
    remappings: dict[str, str] = field(default_factory=dict)
    """Topics that the node finds under another name."""
    respawn: bool = False
    """Whether it is started again when it dies (at most `MAX_RESPAWNS` times); the command node then holds."""

    package: str = NODES
    """Package that holds its module."""

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


def build_graph(
    *,
    robot: str = "aloha",
    model: str | None = "smp_aloha",
    device: str = "cpu",
    safety: str = "default",
    sim: bool = False,
    task: str = "transfer_cube",
    seed: int = 0,
    teleop: bool = False,
    record: str | None = None,
    recording: str = "default",
    noise: float = 0.0,
) -> tuple[NodeSpec, ...]:
    """Return the processes of a graph.

    Args:
        robot: name or YAML path of the robot.
        model: shipped model or checkpoint folder; None leaves the policy node out.
        device: "cpu" or "cuda".
        safety: name or YAML path of the safety settings.
        sim: whether a simulated robot stands in for the drivers.
        task: first task of the simulator, and label of recorded episodes.
        seed: first seed of the simulator.
        teleop: whether leader arms are read (in simulation, a scripted operator moves them).
        record: folder for bags; None leaves the recorder out.
        recording: name or YAML path of the recorder's settings.
        noise: tremor on teleoperation [rad].
    """
    nodes = []
    if sim:
        operator = "scripted" if teleop else "none"
        nodes.append(NodeSpec("sim", {"robot": robot, "task": task, "seed": seed, "operator": operator}))
    nodes.append(NodeSpec("sync", {"robot": robot}))
    nodes.append(NodeSpec("command", {"robot": robot, "safety": safety}))
    if model is not None:
        nodes.append(NodeSpec("policy", {"robot": robot, "model": model, "device": device}, respawn=True))
    if teleop:
        nodes.append(NodeSpec("teleop", {"robot": robot, "noise": noise}))
    if load_robot(robot).description:
        nodes.append(NodeSpec("description", {"robot": robot}))
    if record is not None:
        about = {"robot": robot, "task": task, "safety": safety}
        nodes.append(NodeSpec("recorder", {**about, "out": record, "settings": recording}))
    return tuple(nodes)


def replay_graph(
    *,
    bag: str,
    robot: str = "aloha",
    model: str = "smp_aloha",
    device: str = "cpu",
    safety: str = "default",
    rate: float = 1.0,
    seam: str = DEFAULT_SEAM,
    deadline_s: float = 0.0,
) -> tuple[NodeSpec, ...]:
    """Return the live nodes over a bag, on its clock; what the command node says goes to /replay/..., never to an arm.

    Args:
        bag: to play.
        robot: name or YAML path of the robot.
        model: shipped model or checkpoint folder.
        device: "cpu" or "cuda".
        safety: name or YAML path of the safety settings.
        seam: how chunks are joined, see `action.seam`.
        deadline_s: of an inference [s]; 0 is the replanning period.
        rate: speed of the bag's clock, 1 being real time.
    """
    away = {arm.command_topic: f"/replay{arm.command_topic}" for arm in load_robot(robot).arms}
    sim: dict[str, str | int | float | bool] = {"robot": robot, "use_sim_time": True}
    return (
        NodeSpec("sync", dict(sim)),
        NodeSpec("policy", {**sim, "model": model, "device": device, "seam": seam, "deadline_s": deadline_s}),
        NodeSpec("command", {**sim, "safety": safety, "replayed": True}, away),
        NodeSpec("replay", {"bag": bag, "robot": robot, "rate": rate}),
    )
