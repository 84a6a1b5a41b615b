"""A robot's simulation as data (config/simulations/*.yaml): which models it is made of, its hands and its cameras."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from smp_bringup import config
from smp_bringup.config import spec
from smp_bringup.errors import ConfigError, nearest, one_line
from smp_bringup.joints import Joint
from smp_bringup.paths import named_config
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray

Place = tuple[float, float, float, float, float, float]
"""x, y, z [m]; roll, pitch, yaw [rad] about fixed axes."""
Colour = tuple[float, float, float, float]
"""Red, green, blue, opacity, each 0 to 1."""
_HERE: Place = (0.0,) * 6
_FARTHEST, _MOST_TURN = 10.0, 6.3
"""[m] and [rad]: what a place of a robot's part, hand or camera is within."""
_LEAST_TRAVEL, _LEAST_RANGE = 1e-3, 1e-6
_SHADE = spec(ge=0, le=1)
_POINT = spec(ge=-_FARTHEST, le=_FARTHEST, unit="m")
SIDES = ("left", "right")
"""The hands that the tasks know."""


@dataclass(frozen=True)
class Part:
    """One model of those that make up the robot: an MJCF or a URDF that some package brings."""

    model: str
    """Path, package://PACKAGE/PATH, or pypi://DISTRIBUTION/PATH."""
    prefix: str = ""
    """Put before every name in it: two arms of one kind need two."""
    at: Place = _HERE
    """Where its base stands, in the world or in the frame of `carried_by`."""
    carried_by: str = ""
    """Body or site of a part before it, which carries it; empty where it stands on the ground."""
    without: tuple[str, ...] = ()
    """Bodies of it that are left out."""
    colour: Colour | None = field(default=None, metadata=_SHADE)
    """Of everything in it, instead of its own colours."""

    def __post_init__(self) -> None:
        _check_place("at", self.at)


@dataclass(frozen=True)
class ModelJoint:
    """What a joint of the robot file is called in the models, and where it is there; what is left out is the same."""

    name: str
    at_min: float | None = field(default=None, metadata=spec(ge=-13, le=13))
    """Position in the models where ours is `min` [rad], [m]."""
    at_max: float | None = field(default=None, metadata=spec(ge=-13, le=13))

    def __post_init__(self) -> None:
        if self.at_min is not None and self.at_min == self.at_max:
            raise ConfigError(f"at_min and at_max are both {self.at_min:g}: the joint would not move in the models")


@dataclass(frozen=True)
class Tie:
    """A joint of the models that follows another, as the second finger of a hand does."""

    joint: str
    to: str
    """A joint of the robot file, or of the models."""
    ratio: float = field(default=1.0, metadata=spec(ge=-1000, le=1000))

    def __post_init__(self) -> None:
        if not self.ratio:
            raise ConfigError(f"ratio of '{self.joint}' is 0: it would not follow")


@dataclass(frozen=True)
class SimHand:
    """What grasps at the end of an arm."""

    arm: str
    """Entry of the robot file whose joints move it."""
    body: str
    """Body of the models in whose frame `tcp` is."""
    tcp: Place
    """Between the fingers: x points out of the hand, y is the direction in which they close."""
    fingers: tuple[str, ...]
    """Bodies whose shapes hold objects."""
    gripper: str = ""
    """Joint of the robot file that opens it; empty where it has none."""
    closed: float = field(default=0.0, metadata=spec(ge=-13, le=13))
    """Value of that joint where the fingers meet."""
    travel: float = field(default=1.0, metadata=spec(ge=-200, le=200))
    """By so much that value grows for each metre between the fingers."""
    keep: tuple[str, ...] = ()
    """Joints that stay near home as far as a pose lets them: one that the pose leaves free, a wrist that could flip."""
    colour: Colour | None = field(default=None, metadata=_SHADE)
    """Of the fingers."""

    def __post_init__(self) -> None:
        _check_place("tcp", self.tcp)
        if not self.fingers:
            raise ConfigError("fingers: none is listed, so nothing would be held")
        if abs(self.travel) < _LEAST_TRAVEL:
            raise ConfigError(
                f"travel must be at least {_LEAST_TRAVEL:g} from zero, got {self.travel:g}: it is by how much the "
                "gripper's joint grows for each metre between the fingers, below zero where it falls"
            )

    def grip(self, opening: FloatArray) -> FloatArray:
        """Return values of the gripper's joint for openings between the fingers [m]."""
        return self.closed + self.travel * opening

    def opening(self, grip: float) -> float:
        """Return the opening between the fingers [m] for a value of the gripper's joint."""
        return (grip - self.closed) / self.travel


@dataclass(frozen=True)
class Meeting:
    """How hands meet that pass something on: over the middle of the table."""

    height: float = field(default=0.26, metadata=spec(gt=0, le=1, unit="m"))
    """Above the table."""
    pitch: float = field(default=0.0, metadata=spec(ge=0, le=1.2, unit="rad"))
    """By so much each hand looks down; arms whose wrists cannot look level need some."""


@dataclass(frozen=True)
class SimCamera:
    """Where a camera of the robot file is."""

    at: tuple[float, float, float] = field(metadata=_POINT)
    """[m], in the world or in the frame of `carried_by`."""
    look: tuple[float, float, float] = field(metadata=_POINT)
    """What is in the middle of its image [m]."""
    fovy: float = field(metadata=spec(gt=1, lt=170, unit="deg"))
    carried_by: str = ""
    """Body that carries it."""

    def __post_init__(self) -> None:
        if self.at == self.look:
            raise ConfigError(f"a camera at {list(self.at)} cannot look at where it is: say what is in its image")


@dataclass(frozen=True)
class Simulation:
    """What the simulator knows of a robot beside its robot file."""

    parts: tuple[Part, ...]
    hands: dict[str, SimHand]
    """By side, left and right."""
    cameras: dict[str, SimCamera]
    """By name of the robot file."""
    text: str = ""
    meeting: Meeting = Meeting()
    pace: float = field(default=1.0, metadata=spec(ge=0.2, le=10))
    """So many times as long as tasks plan it the scripted operator takes, and an episode may last: for slower arms."""
    joints: dict[str, ModelJoint] = field(default_factory=dict)
    """By name of the robot file; those left out are called and placed as there."""
    ties: tuple[Tie, ...] = ()
    servos: dict[str, tuple[float, float]] = field(default_factory=dict, metadata=spec(ge=0, le=1e6))
    """By the end of a joint's name: stiffness [N m/rad] and damping [N m s/rad], of what slides [N/m] and [N s/m]."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError("parts is empty: a simulation is made of at least one model")
        if set(self.hands) != set(SIDES):
            raise ConfigError(f"hands are {' and '.join(SIDES)}, got {', '.join(map(one_line, self.hands)) or 'none'}")
        if twice := set.intersection(*(set(hand.fingers) for hand in self.hands.values())):
            raise ConfigError(
                f"fingers of both hands: {', '.join(map(one_line, sorted(twice)))}: each hand has bodies of its own"
            )
        for name, (stiffness, _) in self.servos.items():
            if not stiffness:
                raise ConfigError(f"servos.{name}: a stiffness of 0 holds nothing")


def _check_place(what: str, place: Place) -> None:
    """Raise ConfigError for a place that is in another unit than m and rad."""
    if not all(abs(metres) <= _FARTHEST for metres in place[:3]):
        raise ConfigError(f"{what}: x, y, z must be within {_FARTHEST:g} m, got {list(place[:3])}: is it in mm?")
    if not all(abs(turn) <= _MOST_TURN for turn in place[3:]):
        raise ConfigError(
            f"{what}: roll, pitch, yaw must be within {_MOST_TURN} rad, got {list(place[3:])}: in degrees?"
        )


def load_simulation(robot: Robot) -> Simulation:
    """Return the simulation that a robot file names.

    Raises:
        ConfigError: it names none, or one that does not fit the robot.
    """
    if not robot.simulation:
        raise ConfigError(
            f"robot '{robot.name}' cannot be simulated: its file names no simulation, one of config/simulations "
            "or a YAML file (docs/your_robot.md)"
        )
    path = named_config("simulations", robot.simulation)
    simulation = config.load(Simulation, path)
    simulation = replace(simulation, parts=tuple(_beside(path, part) for part in simulation.parts))
    try:
        _check_fits(simulation, robot)
    except ConfigError as error:
        raise ConfigError(f"{path.name}: {error}") from None
    return simulation


def _beside(path: Path, part: Part) -> Part:
    """Return a part whose model, if it is a file named from the simulation's folder on, is named by its path."""
    beside = path.parent / part.model
    return replace(part, model=str(beside)) if "://" not in part.model and beside.is_file() else part


def _check_fits(simulation: Simulation, robot: Robot) -> None:
    """Raise ConfigError where the two name each other's things wrongly."""
    unseen = [c.name for c in robot.cameras if c.depth] + [v.name for v in robot.vectors]
    if unseen:
        raise ConfigError(
            f"robot '{robot.name}': the simulation gives no depth and no vectors ({', '.join(unseen)}): "
            "take them out of its file to simulate it"
        )
    arms, joints = [arm.name for arm in robot.arms], {joint.name: joint for joint in robot.joints}
    cameras = [camera.name for camera in robot.cameras]
    for side, hand in simulation.hands.items():
        _require(f"arm of hand '{side}'", hand.arm, arms)
        if all(joint.gripper for joint in robot.arm(hand.arm).joints):
            raise ConfigError(
                f"arm of hand '{side}' '{one_line(hand.arm)}' has no joint but grippers: name the entry of the arm "
                "that carries the hand"
            )
        for name in (*filter(None, (hand.gripper,)), *hand.keep):
            _require(f"joint of hand '{side}'", name, joints)
    for name in simulation.joints:
        _require("joint", name, joints)
        low, high = model_range(joints[name], simulation)
        if abs(high - low) < _LEAST_RANGE:
            raise ConfigError(
                f"joint '{one_line(name)}' would not move in the models, from {low:g} to {high:g}: look at at_min and "
                "at_max, and at its min and max in the robot file, which are taken where they are left out"
            )
    for name in cameras:
        _require("camera of the robot file", name, simulation.cameras)


def _require(what: str, name: str, known: Mapping[str, object] | list[str]) -> None:
    if name not in known:
        raise ConfigError(
            f"{what} '{one_line(name)}' is not there{nearest(name, known)}; there is {', '.join(known) or 'none'}"
        )


def model_name(simulation: Simulation, joint: str) -> str:
    """Return what a joint of the robot file is called in the models."""
    said = simulation.joints.get(joint)
    return said.name if said else joint


def model_range(joint: Joint, simulation: Simulation) -> tuple[float, float]:
    """Return where a joint is in the models when it is at `min` and at `max` of the robot file."""
    said = simulation.joints.get(joint.name)
    low = None if said is None else said.at_min
    high = None if said is None else said.at_max
    return joint.min if low is None else low, joint.max if high is None else high
