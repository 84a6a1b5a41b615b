"""Which joints of a robot move which links of its description, and how: rigidly, or so that they sweep."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.description.capsules import shapes
from smp_bringup.description.model import Description
from smp_bringup.description.sweep import MOST_JOINTS
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.joints import Joint
from smp_bringup.physics import mujoco
from smp_bringup.robot import Robot

_HAND_M = 0.4
"""No joints of a hand are farther from each other."""


@dataclass(frozen=True)
class Moved:
    """What moves a link: joints of an arm."""

    arm: int
    frame: int
    """How many of its joints that are no grippers carry the link rigidly."""
    sweeps: tuple[str, ...] = ()
    """Joints, as the description calls them, that move it besides, alone or by joints that mimic them."""


class Movers:
    """A description at zero, and which joints of a robot move its links.

    Raises:
        ConfigError: a joint is not there, or the joints of an arm are neither a chain nor a hand.
    """

    def __init__(self, robot: Robot, description: Description) -> None:
        self._robot, self._description, self._model = robot, description, description.model
        self.called = {joint.name: self._call(arm, k) for arm in robot.arms for k, joint in enumerate(arm.joints)}
        """What the description calls our joints."""
        self.joints = {self.called[name]: (number, joint) for number, name, joint in self._all()}
        """Our joints by that name, and of which arm, by number, each is."""
        self.zero = mujoco.MjData(self._model)
        description.place(self._model.qpos0)
        self.zero.qpos[:] = description.position  # with what mimics others where that brings it
        mujoco.mj_kinematics(self._model, self.zero)
        """The description while all joints are at zero."""
        self.frozen: dict[str, None] = {}
        """Joints, in order, that move links of arms and are none of the robot's."""
        self._fans = set[int]()
        """Arms, by number, that are no chain but stand on another, as a hand of several fingers: they sweep."""
        for number in range(len(robot.arms)):
            self._check_chain(number)
        self.of = {link: self._moved(link) for link in description.links}
        """What moves each link; None where nothing does."""

    def way(self, link: str) -> list[tuple[str, bool]]:
        """Return the robot's joints that move a link, from the root on, and whether each does by one that mimics it."""
        way, body = list[tuple[str, bool]](), self._model.body(link)
        while body.id:
            source = self._description.mover(body.name)
            if source in self.joints:
                own = self._model.joint(int(body.jntadr[0])).name
                way.append((source, own != source))
            body = self._model.body(body.parentid[0])
        return way[::-1]

    def stand(self, number: int) -> str:
        """Return the link that carries the first joint of an arm."""
        first = self._model.joint(self.called[self._robot.arms[number].joints[0].name])
        parent: str = self._model.body(self._model.body(int(first.bodyid[0])).parentid[0]).name
        return parent

    def ends(self, joint: str) -> tuple[float, float]:
        """Return between which positions a joint can be: by the description, and by the robot file."""
        _, ours = self.joints[joint]
        told = (ours.min, ours.max) if joint == ours.name else ours.driver_range
        ends = (*told, *self._model.joint(joint).range.tolist())
        return min(ends), max(ends)

    def has_shape(self, link: str) -> bool:
        """Return whether a link collides."""
        return bool(shapes(self._model, self._description.link(link)))

    def _call(self, arm: Arm, k: int) -> str:
        """Return what the description calls a joint: as we do, or as the driver does."""
        joint, known = arm.joints[k], self._description.joints
        if joint.name in known:
            return joint.name
        theirs = arm.driver.names[k]
        if theirs not in known:
            self._description.places([joint.name])  # says which is nearest
        if not joint.gripper and (arm.driver.scale[k], arm.driver.offset[k]) != (1.0, 0.0):
            raise ConfigError(f"joint '{joint.name}' is told in other units by its driver than by the description")
        return theirs

    def _all(self) -> Iterator[tuple[int, str, Joint]]:
        for number, arm in enumerate(self._robot.arms):
            for joint in arm.joints:
                yield number, joint.name, joint

    def _check_chain(self, number: int) -> None:
        """Note an arm whose joints do not each move the next as one that sweeps.

        Raises:
            ConfigError: it is no hand that another arm carries, or a joint that is no gripper comes after one.
        """
        arm, way = self._robot.arms[number], self.way(self.stand(number))
        others = {name for name, _ in way} - {self.called[joint.name] for joint in arm.joints}
        hand = len(others) == len(way) > 0 and self._is_small(arm)
        for k, joint in enumerate(arm.joints):
            if joint.gripper:
                if not all(other.gripper for other in arm.joints[k:]):
                    raise ConfigError(f"arm '{arm.name}': gripper '{joint.name}' stands before joints that are none")
                continue
            way = [*way, (self.called[joint.name], False)]
            body = self._model.body(int(self._model.joint(self.called[joint.name]).bodyid[0]))
            if self.way(body.name) != way and hand:
                self._fans.add(number)
                return
            if self.way(body.name) != way:
                raise ConfigError(
                    f"arm '{arm.name}': '{joint.name}' is not moved by the joints before it, and them alone: "
                    "shapes are known of chains, one an entry"
                )

    def _is_small(self, arm: Arm) -> bool:
        """Return whether all joints of an arm are as near to each other as those of a hand."""
        at = np.array([self.zero.xanchor[self._model.joint(self.called[joint.name]).id] for joint in arm.joints])
        return bool(np.ptp(at, axis=0).max() <= _HAND_M)

    def _moved(self, link: str) -> Moved | None:
        """Return what moves a link against the root; joints that are none of the robot's stand at zero."""
        way = self.way(link)
        rigid = [name for name, mimics in way if not mimics and not self._sweeps(name)]
        swept = list(dict.fromkeys(name for name, _ in way[len(rigid) :]))
        if [name for name, _ in way[: len(rigid)]] != rigid or not self._may_sweep(swept):
            names = ", ".join(name for name, _ in way)
            raise ConfigError(
                f"link '{one_line(link)}' is moved by {names}: only one joint may sweep it, or {MOST_JOINTS} of a hand "
                "that an arm carries, behind the others"
            )
        if way and self.has_shape(link):
            self.frozen |= dict.fromkeys(self._not_ours(link))
        if not way:
            return None
        if not swept:
            number, joint = self.joints[rigid[-1]]
            return Moved(number, self._frame(number, joint))
        number, joint = self.joints[swept[0]]
        frame = self._frame(number, joint)  # a gripper has the frame before it, and what mimics others none
        own = [name for name in rigid if self.joints[name][0] == number]
        return Moved(number, min(frame, len(own)), tuple(swept))

    def _sweeps(self, name: str) -> bool:
        """Return whether what a joint moves is told as the room that it sweeps."""
        number, joint = self.joints[name]
        return joint.gripper or number in self._fans

    def _may_sweep(self, names: Sequence[str]) -> bool:
        """Return whether these joints may sweep one link."""
        hands = {self.joints[name][0] for name in names}
        return len(names) <= 1 or (len(hands) == 1 and hands <= self._fans and len(names) <= MOST_JOINTS)

    def _not_ours(self, link: str) -> Iterator[str]:
        """Yield the joints that move a link and are none of the robot's."""
        body = self._model.body(link)
        while body.id:
            source = self._description.mover(body.name)
            if source and source not in self.joints:
                yield source
            body = self._model.body(body.parentid[0])

    def _frame(self, number: int, joint: Joint) -> int:
        """Return how many joints of an arm that are no grippers there are up to a joint, itself with them."""
        joints = self._robot.arms[number].joints
        return sum(not other.gripper for other in joints[: joints.index(joint) + 1])
