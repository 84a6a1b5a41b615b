"""Put a peg into a socket in mid-air: one hand holds the socket, the other the peg."""

import mujoco
import numpy as np

from smp_bringup.tasks.base import AbstractTask, add_free_box, resize, set_free_pose, touching, vivid, yaw_of
from smp_bringup.tasks.handover import OPEN
from smp_bringup.tasks.script import Hand, Script
from smp_bringup.types import FloatArray

_PEG = (0.06, 0.010, 0.010)
_SOCKET_LENGTH = 0.045
_HOLE = 0.017
"""Half the width of the hole: 3.5 mm of play on each side."""
_WALL = 0.0035
_OUTER = _HOLE + 2 * _WALL
_SLIP = 0.2
"""Friction between peg and socket; fingers bring their own."""
_GRASP_Z = 0.024
_BACK = 0.028
"""Both are grasped so far behind their middle, seen from the other."""
_DEPTH = 0.06
_PLUGGED = 0.05
"""So deep [m] is the peg that is to be drawn out."""
_APPROACH = 0.15
"""Of what moves, only what it does with the other so near [m] counts."""
_MEETING_Z = 0.2
_PITCH = np.pi / 2 * 0.9


class PegInsertion(AbstractTask):
    """Success: the peg fills the socket up to a limit, and both are off the table."""

    name = "peg_insertion"
    objects = ("peg", "socket")

    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add the peg, and the socket as four walls around a hole along x."""
        add_free_box(mjcf, "peg", _PEG, [0.9, 0.2, 0.2, 1], friction=_SLIP)
        socket = mjcf.worldbody.add_body(name="socket", pos=[-0.15, 0.5, _OUTER])
        socket.add_freejoint(name="socket")
        middle, across = _HOLE + _WALL, _HOLE + 2 * _WALL
        walls = [((0.0, s * middle, 0.0), (_SOCKET_LENGTH, _WALL, across)) for s in (-1, 1)]
        walls += [((0.0, 0.0, s * middle), (_SOCKET_LENGTH, _HOLE, _WALL)) for s in (-1, 1)]
        for i, (position, half) in enumerate(walls):
            socket.add_geom(
                name=f"socket{i}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                pos=position,
                size=half,
                mass=0.0125,
                condim=6,
                friction=[_SLIP, 0.02, 0.001],
                solref=[0.004, 1],
                solimp=[0.95, 0.99, 0.001, 0.5, 2],
            )

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw the pose of each on its side, and their colours."""
        size = self.draw(rng, "size")[0]
        for name, sign, height in (("socket", -1, _OUTER), ("peg", 1, _PEG[2])):
            x, y, yaw = self.draw(rng, "x", "y", "yaw")
            resize(model, name, size)
            set_free_pose(model, data, name, np.array([sign * x, y, size * height]), yaw)
        model.geom("peg").rgba = vivid(rng, self.ranges["hue"])
        colour = vivid(rng, self.ranges["socket_hue"])
        for i in range(4):
            model.geom(f"socket{i}").rgba = colour

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the peg's tip is inside the hole, deep enough, in the air."""
        peg, socket = data.body("peg"), data.body("socket")
        size = model.geom("peg").size[0] / _PEG[0]
        into = socket.xmat.reshape(3, 3).T
        tip = into @ (peg.xpos - socket.xpos - peg.xmat.reshape(3, 3)[:, 0] * size * _PEG[0])
        return bool(
            min(peg.xpos[2], socket.xpos[2]) > 0.08
            and np.all(np.abs(tip[1:]) < size * _HOLE)
            and -size * _SOCKET_LENGTH - 0.02 < tip[0] < self.limit("left_out") - size * _SOCKET_LENGTH
        )

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Pick both up, bring one to the middle, and slide the other over or into it."""
        names = {script.hands["left"]: "socket", script.hands["right"]: "peg"}
        size = model.geom("peg").size[0] / _PEG[0]
        grips = {name: 2 * (size * half - 0.009) for name, half in (("socket", _OUTER), ("peg", _PEG[1]))}
        middle = {"socket": -size * _SOCKET_LENGTH, "peg": size * _PEG[0] - _DEPTH}
        script.stagger()
        above = {
            hand: _pick(hand, data.body(name).xpos.copy(), yaw_of(data, name), grips[name])
            for hand, name in names.items()
        }
        still, moving = script.ordered()
        for hand, apart in ((still, 0.0), (moving, 0.1)):
            x = middle[names[hand]] - hand.outward * (_BACK + apart)
            hand.move(1.1, [x, 0.5, _MEETING_Z + above[hand]], hand.pointing(_PITCH))
        moving.until(still.now_s)
        moving.move(0.4)
        moving.move(1.4, moving.last.position + [moving.outward * 0.1, 0, 0])
        moving.move(0.5)


class PegHeldStill(PegInsertion):
    """Success: the same, and what the leading hand holds (left: the socket, right: the peg) was held still."""

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the peg is in, and the leading hand's thing moved less than half as far on the way in."""
        moved = data.userdata[:2]
        if abs(data.body("peg").xpos[0] - data.body("socket").xpos[0]) < _APPROACH:
            moved += [np.linalg.norm(data.joint(name).qvel[:3]) for name in ("socket", "peg")]
        still, moving = moved if self.leads == "left" else moved[::-1]
        return super().succeeds(model, data) and bool(still < moving / 2)


class UnplugPeg(PegInsertion):
    """Success: the peg, which was in the socket, is out of it, and both are in the air, in one hand each."""

    name = "unplug_peg"

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw the same, then put the socket in the middle and the peg into it."""
        super().place(model, data, rng)
        size = model.geom("peg").size[0] / _PEG[0]
        x, y, yaw = self.draw(rng, "x", "y", "yaw")
        middle, yaw = np.array([x - sum(self.ranges["x"]) / 2, 0.5 + (y - 0.5) / 2]), yaw / 2
        along = np.array([np.cos(yaw), np.sin(yaw)])
        apart = size * (_SOCKET_LENGTH + _PEG[0]) - _PLUGGED
        for name, at, height in (
            ("socket", -apart / 2, _OUTER),
            ("peg", apart / 2, _OUTER - _HOLE + _PEG[2]),
        ):
            set_free_pose(model, data, name, np.array([*(middle + at * along), size * height + 0.001]), yaw)

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the peg's tip is clear of the hole, and both are in the air and touched by their hand."""
        peg, socket = data.body("peg"), data.body("socket")
        size = model.geom("peg").size[0] / _PEG[0]
        reach = socket.xmat.reshape(3, 3)[:, 0] @ (peg.xpos - socket.xpos) - size * (_PEG[0] + _SOCKET_LENGTH)
        walls = [f"socket{i}" for i in range(4)]
        return bool(
            min(peg.xpos[2], socket.xpos[2]) > 0.08
            and reach > 0.02
            and touching(model, data, "left", *walls)
            and touching(model, data, "right", "peg")
        )

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Take both, lift them together, and draw the hands apart."""
        size = model.geom("peg").size[0] / _PEG[0]
        script.stagger()
        for side, name, half in (("left", "socket", _OUTER), ("right", "peg", _PEG[1])):
            hand = script.hands[side]
            back = (_BACK + 0.012) if name == "peg" else _BACK - 0.005
            grasp = data.body(name).xpos - hand.outward * back * data.body(name).xmat.reshape(3, 3)[:, 0]
            grasp[2] = max(_GRASP_Z, grasp[2])
            hand.move(1.4, grasp + [0, 0, 0.09], hand.pointing(_PITCH, yaw_of(data, name)), OPEN)
            hand.move(0.7, grasp)
            hand.move(0.4, grip=2 * (size * half - 0.009))
        script.meet()
        for hand in script.hands.values():
            hand.move(1.0, hand.last.position + [0, 0, 0.14])
        along = data.body("socket").xmat.reshape(3, 3)[:, 0]
        for hand in script.hands.values():
            hand.move(1.2, hand.last.position - hand.outward * 0.06 * along)
            hand.move(0.5)


def _pick(hand: Hand, position: FloatArray, yaw: float, grip: float) -> float:
    """Grasp behind the middle of an object that lies along x, and lift it; return how far above its middle [m]."""
    c, s = np.cos(yaw), np.sin(yaw)
    grasp = np.array([*(position[:2] - hand.outward * _BACK * np.array([c, s])), max(_GRASP_Z, position[2])])
    hand.move(1.2, grasp + [0, 0, 0.09], hand.pointing(_PITCH, yaw), OPEN)
    hand.move(0.7, grasp)
    hand.move(0.4, grip=grip)
    hand.move(0.6, grasp + [0, 0, 0.1])
    return float(grasp[2] - position[2])
