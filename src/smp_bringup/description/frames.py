"""The transforms of a robot's links, as robot_state_publisher gives them: each link in the frame of its parent."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from smp_bringup.description.model import Description
from smp_bringup.description.pose import Pose


@dataclass(frozen=True)
class Transform:
    """Where one frame is in another."""

    parent: str
    child: str
    pose: Pose


class Frames:
    """The links of a robot in one state, measured or commanded."""

    def __init__(self, description: Description, prefix: str = "") -> None:
        """Begin with every joint at zero; where names of frames begin with `prefix`, that root stands on the root."""
        self._description, self._prefix = description, prefix
        model = description.model
        parents = {name: model.body(model.body(name).parentid[0]).name for name in description.links[1:]}
        self._parents = {child: parent for child, parent in parents.items() if parent in description.links}
        self._movers = {child: description.mover(child) for child in self._parents}
        self._joints = frozenset(description.joints)
        self.children = frozenset(prefix + child for child in self._parents)
        """Names of all frames but the root."""

    def still(self) -> list[Transform]:
        """Return the transforms that no joint changes."""
        root = self._description.links[0]
        stand = [Transform(root, self._prefix + root, self._seen(root, root))] if self._prefix else []
        return stand + [self._transform(child) for child, joint in self._movers.items() if not joint]

    def move(self, told: Mapping[str, float], fronts: Collection[str] = ()) -> list[Transform]:
        """Bring joints to their positions [rad], [m]; return the transforms that they, and who mimics them, change.

        Args:
            told: positions by name.
            fronts: what the description may have in front of these names: two drivers say the same of two robots.
        """
        known = {self._called(name, fronts): position for name, position in told.items()}
        self._description.move(known)
        return [self._transform(child) for child, joint in self._movers.items() if joint in known]

    def _called(self, name: str, fronts: Collection[str]) -> str:
        """Return what the description calls a joint."""
        return next((front + name for front in ("", *fronts) if front + name in self._joints), name)

    def _transform(self, child: str) -> Transform:
        parent = self._parents[child]
        return Transform(self._prefix + parent, self._prefix + child, self._seen(child, parent))

    def _seen(self, child: str, parent: str) -> Pose:
        poses = [self._description.pose(self._description.link(name)) for name in (child, parent)]
        return poses[0].seen_from(poses[1])
