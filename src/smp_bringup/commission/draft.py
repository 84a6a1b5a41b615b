"""A robot file and its safety file in the making, and their text: what is guessed is marked."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from smp_bringup.description.urdf import UrdfJoint
from smp_bringup.documents import dump_yaml
from smp_bringup.errors import one_line
from smp_bringup.joint_units import GRIPPER, SLIDING, TURNING, Plausible
from smp_bringup.safety import CHECKS
from smp_bringup.safety.checks.arm_distance import ArmDistance
from smp_bringup.safety.config import DEFAULT_SAFETY, load_safety

_RISE_S = 0.4
"""Guessed accelerations reach top speed in so long."""
_SNAP_S = 0.05
"""Guessed jerks reach that acceleration in so long."""
_SPEEDS = {"rad": 1.0, "m": 0.1}
"""Where a URDF has no speed that a joint can have [rad/s], [m/s]."""
_MARGIN = 0.05
"""Zero is taken for home where it is so far inside the range, as a share of it."""
_TWO_TURNS_DEG = 720
"""Limits beyond what a joint can have, up to this, were meant in degrees; those beyond it say that there are none."""
_GUESSED = "acceleration, jerk: guessed"
_WIDE = 10_000
_SHAPED = [
    "# Left out: workspace, a box for the hands: measure it, write workspace_min and workspace_max [m], from the",
    "# origin of the description on, and list the check (docs/safety.md). Until then nothing keeps the hands from",
]
_BARE = "# Left out, since they need the shapes of the links (docs/safety.md): {}. So nothing keeps"


@dataclass(frozen=True)
class DraftArm:
    """One entry under `arms`."""

    name: str
    joints: tuple[UrdfJoint, ...]
    state_topic: str
    command_topic: str
    command_interface: str
    prefix: str = ""
    hand: bool = False
    """Whether joints that slide are fingers."""
    notes: tuple[str, ...] = ()
    """What was not seen."""
    leader_topic: str = ""
    leader_names: Mapping[str, str] = field(default_factory=dict)
    """What the leader arm calls our joints, where it is not what we do."""
    geometry: str = ""
    """File of its shapes."""
    base: tuple[float, ...] = ()
    carried_by: str = ""


@dataclass(frozen=True)
class DraftCamera:
    """One entry under `cameras`."""

    name: str
    topic: str
    width: int = 640
    height: int = 480
    rate_hz: float = 30.0
    arm: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """Everything that the two files say."""

    name: str
    arms: tuple[DraftArm, ...]
    cameras: tuple[DraftCamera, ...]
    drivers: tuple[str, ...]
    safety: str
    """File name of the safety settings."""
    description: str = ""
    state_rate_hz: float = 100.0
    action_period_s: float = 0.04
    source: str = ""
    """What it was made from."""
    notes: tuple[str, ...] = ()
    """What was left out."""


def joint_entry(joint: UrdfJoint, prefix: str, hand: bool) -> tuple[dict[str, object], list[str]]:
    """Return a joint as the robot file has it, and what about it is guessed.

    Limits are those of the URDF, rounded inwards; what is missing there is cautious.
    """
    kind = TURNING if joint.kind != "prismatic" else GRIPPER if hand and _short(joint) else SLIDING
    low, high, notes = _range(joint, kind)
    velocity, said = _velocity(joint, kind)
    span = high - low
    home = 0.0 if low + _MARGIN * span <= 0 <= high - _MARGIN * span or (low == 0 and hand) else (low + high) / 2
    if home:
        notes.append("home: the middle")
    entry: dict[str, object] = {
        "name": prefix + joint.name,
        "min": low,
        "max": high,
        "home": round(home, 4),
        "velocity": velocity,
        "acceleration": _digits(velocity / _RISE_S),
        "jerk": _digits(velocity / _RISE_S / _SNAP_S),
    }
    entry |= {"gripper": True} if kind is GRIPPER else {"prismatic": True} if kind is SLIDING else {}
    return entry, [*notes, *said, _GUESSED]


def _short(joint: UrdfJoint) -> bool:
    """Return whether a joint that slides can be a finger."""
    return max(abs(joint.lower or 0.0), abs(joint.upper or 0.0)) <= GRIPPER.position


def _range(joint: UrdfJoint, kind: Plausible) -> tuple[float, float, list[str]]:
    """Return the range of a joint, and what is guessed about it."""
    if joint.lower is None or joint.upper is None:
        turns = "turns without end" if joint.kind == "continuous" else "the URDF has no range"
        return -math.floor(1e6 * math.pi) / 1e6, math.floor(1e6 * math.pi) / 1e6, [f"min, max: {turns}"]
    low, high = max(joint.lower, -kind.position), min(joint.upper, kind.position)
    cut = low > joint.lower or high < joint.upper
    notes = [f"min, max: the URDF says [{joint.lower:g}, {joint.upper:g}]"] if cut else []
    if cut and kind is TURNING and max(-joint.lower, joint.upper) <= _TWO_TURNS_DEG:
        notes.append(kind.mistaken)
    return _inwards(low, math.ceil), _inwards(high, math.floor), notes


def _inwards(value: float, rounded: Callable[[float], int]) -> float:
    """Return a limit with six digits behind the point, never beyond what it was."""
    return value if round(value, 6) == value else rounded(1e6 * value) / 1e6


def _velocity(joint: UrdfJoint, kind: Plausible) -> tuple[float, list[str]]:
    """Return the top speed of a joint, and what is guessed about it."""
    least, most = kind.velocity
    if joint.velocity is None:
        return _SPEEDS[kind.unit], ["velocity: the URDF has none"]
    if not least <= joint.velocity <= most:
        return _SPEEDS[kind.unit], [f"velocity: the URDF says {joint.velocity:g}"]
    return math.floor(1e6 * joint.velocity) / 1e6, []


def _digits(value: float) -> float:
    """Return a number with three digits."""
    return float(f"{value:.3g}")


def robot_yaml(draft: Draft) -> str:
    """Return the text of the robot file."""
    head = [
        f"Made by smp robot new from {draft.source}; look at every line before an arm moves (docs/your_robot.md).",
        "Limits are the URDF's; a URDF has no acceleration and no jerk: those here are cautious, put your maker's.",
        *draft.notes,
    ]
    lines = [f"# {one_line(text)}" for text in head]
    about: dict[str, object] = {"name": draft.name, "safety": draft.safety}
    about |= {"description": draft.description} if draft.description else {}
    about |= {"control_period_s": 0.01, "action_period_s": draft.action_period_s}
    about["state_rate_hz"] = draft.state_rate_hz
    lines += [_flat(about).rstrip("\n"), "# model: my_model  # without one no policy runs", "", "cameras:"]
    for camera in draft.cameras:
        lines.append(_item(_camera(camera), camera.notes, "  "))
    lines += ["", "arms:"]
    for arm in draft.arms:
        lines += _arm(arm)
    return "\n".join(lines) + "\n"


def _camera(camera: DraftCamera) -> dict[str, object]:
    entry: dict[str, object] = {key: getattr(camera, key) for key in ("name", "topic", "width", "height", "rate_hz")}
    entry |= {"observation_width": 96, "observation_height": 96}
    return entry | ({"arm": camera.arm} if camera.arm else {})


def _arm(arm: DraftArm) -> list[str]:
    about = {key: getattr(arm, key) for key in ("name", "state_topic", "command_topic", "command_interface")}
    about |= {key: getattr(arm, key) for key in ("prefix", "geometry", "carried_by") if getattr(arm, key)}
    first, *rest = (_flat(about) + _leader(arm)).splitlines()
    lines = [f"  - {first}", *(f"    {line}" for line in rest)]
    lines[1:1] = [f"    # {one_line(note)}" for note in arm.notes]
    if arm.geometry:
        lines.append(f"    base: [{', '.join(f'{value:g}' for value in arm.base)}]")
    lines.append("    joints:")
    return lines + [_item(*joint_entry(joint, arm.prefix, arm.hand), "      ") for joint in arm.joints]


def _leader(arm: DraftArm) -> str:
    """Return who leads an arm, in lines."""
    if not arm.leader_names:
        return _flat({"leader_topic": arm.leader_topic}) if arm.leader_topic else ""
    joints = {ours: {"name": theirs} for ours, theirs in arm.leader_names.items()}
    return dump_yaml({"leader": {"topic": arm.leader_topic, "joints": joints}}, _WIDE)


def _flat(data: Mapping[str, object]) -> str:
    """Return a mapping of plain values, a line a key."""
    return "".join(f"{key}: {_plain(value)}\n" for key, value in data.items())


def _plain(value: object) -> str:
    """Return a text or a number as YAML writes it."""
    return dump_yaml([value], _WIDE).strip()[1:-1]


def _item(data: Mapping[str, object], notes: Sequence[str], indent: str) -> str:
    """Return a mapping as an item of a list on one line, with notes behind it."""
    text = dump_yaml([dict(data)], _WIDE).rstrip("\n")
    return f"{indent}{text}" + (f"  # {one_line('; '.join(notes))}" if notes else "")


def safety_yaml(draft: Draft) -> str:
    """Return the text of the safety file: all checks but a box nobody has measured, and those that lack shapes."""
    checks = load_safety(DEFAULT_SAFETY).checks
    shaped = all(arm.geometry for arm in draft.arms)
    out = [name for name in checks if CHECKS[name].needs_geometry and not (shaped and name == ArmDistance.name)]
    runs = [name for name in checks if name not in out]
    lines = [
        f"# Safety of {one_line(draft.name)}; every other setting, its bounds and default: safety/config.py.",
        *(_SHAPED if shaped else [_BARE.format(", ".join(out))]),
        "# the table but you." if shaped else "# the arms from each other and from the table but you.",
        "checks:",
        *(f"  - {name}" for name in runs),
        *(
            ["stop_distance: 0.01  # links come no nearer [m]; their capsules stand out from them a little"]
            if shaped
            else []
        ),
        "velocity_scale: 0.5  # of the limits in the robot file; raise it once you have seen the arms move",
    ]
    if draft.drivers:
        lines += ["drivers:  # they take the commands, while others publish the joint states"]
        lines += [f"  - {_plain(name)}" for name in draft.drivers]
    return "\n".join(lines) + "\n"
