"""Hold a drawer open with one hand and put a block into it with the other."""

import mujoco
import numpy as np

from smp_bringup.simulation import SIDES
from smp_bringup.tasks.base import AbstractTask, add_free_box, resize, set_free_pose, touching, vivid, yaw_of
from smp_bringup.tasks.handover import OPEN, pick_from_above
from smp_bringup.tasks.script import OUTWARD, Hand, Script
from smp_bringup.types import FloatArray

_HALF = 0.018
_WIDE, _DEEP, _WALL = 0.075, 0.05, 0.003
"""Half width and half depth of the drawer, half thickness of its boards [m]."""
_RIM = 0.03
_BAR_Y, _BAR_Z = -0.11, 0.05
"""The bar to pull at, in front of the middle of the drawer."""
_HANDLE = ("drawer5", "drawer6", "drawer7")
"""Bar and stems: see `_boards`."""
_TRAVEL = 0.11
_PULL = 0.1
_GRIP = 0.01
_ROOF = 0.075
_INSIDE = 0.2
"""In the drawer the block lies and turns by so much of what it would on the table."""
_TAKEN_FROM = 0.03
"""So far [m] from the middle, on the side of the hand that takes it."""
_LEANING = np.deg2rad(65)
"""The hand that reaches into the drawer leans away from the one at the bar."""
_OWN_SIDE, _CROSSING_S = 0.11, 2.2


class OpenDrawerPlace(AbstractTask):
    """Success: the block lies in the drawer and no hand touches it."""

    name = "open_drawer_place"
    objects = ("block", "drawer")

    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add the block, and a cabinet whose drawer opens towards -y and is drawn shut by a spring."""
        add_free_box(mjcf, "block", (_HALF, _HALF, _HALF), [0.9, 0.8, 0.1, 1])
        cabinet = mjcf.worldbody.add_body(name="cabinet", mocap=True)
        outside = [((0.0, 0.0, _ROOF), (_WIDE + 0.012, _DEEP + 0.005, _WALL))]
        outside += [((s * (_WIDE + 0.009), 0.0, _ROOF / 2), (_WALL, _DEEP + 0.005, _ROOF / 2)) for s in (-1, 1)]
        for i, (position, half) in enumerate(outside):
            cabinet.add_geom(
                name=f"cabinet{i}", type=mujoco.mjtGeom.mjGEOM_BOX, pos=position, size=half, rgba=[0.45, 0.33, 0.22, 1]
            )
        drawer = mjcf.worldbody.add_body(name="drawer", gravcomp=1)
        for axis, vector in (("x", [1, 0, 0]), ("y", [0, 1, 0])):
            drawer.add_joint(name=f"drawer_{axis}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=vector, armature=1000)
        drawer.add_joint(
            name="drawer",
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[0, -1, 0],
            range=[0, _TRAVEL],
            limited=True,
            stiffness=25,
            damping=3,
        )
        for i, (position, half) in enumerate(_boards()):
            drawer.add_geom(
                name=f"drawer{i}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                pos=position,
                size=half,
                mass=0.03,
                condim=6,
                friction=[1.0, 0.02, 0.001],
                solref=[0.004, 1],
                solimp=[0.95, 0.99, 0.001, 0.5, 2],
            )

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw where the cabinet stands and where the block lies, and colours."""
        cabinet_x, cabinet_y, x, y, yaw = self.draw(rng, "cabinet_x", "cabinet_y", "x", "y", "yaw")
        data.mocap_pos[model.body("cabinet").mocapid[0]] = [cabinet_x, cabinet_y, 0]
        data.joint("drawer_x").qpos[0], data.joint("drawer_y").qpos[0] = cabinet_x, cabinet_y
        resize(model, "block", self.draw(rng, "size")[0])
        set_free_pose(model, data, "block", np.array([x, y, model.geom("block").size[2]]), yaw)
        model.geom("block").rgba = vivid(rng, self.ranges["hue"])
        colour = vivid(rng, self.ranges["drawer_hue"])
        for i in range(len(_boards())):
            model.geom(f"drawer{i}").rgba = colour

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the block is between the drawer's boards, below the rim, and released."""
        offset = data.body("block").xpos - data.body("drawer").xpos
        return bool(
            abs(offset[0]) < self.limit("off_centre")
            and abs(offset[1]) < _DEEP
            and offset[2] < 0.04
            and not any(touching(model, data, arm, "block") for arm in SIDES)
            and self.led_by([touching(model, data, arm, *_HANDLE) for arm in SIDES])
        )

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """One hand pulls and holds; the other picks the block, drops it into the drawer and leaves."""
        drawer, block = data.body("drawer").xpos.copy(), data.body("block").xpos.copy()
        opener, placer = script.ordered()
        if -placer.outward * block[0] < _OWN_SIDE:  # the placer reaches across: it goes first
            opener.move(_CROSSING_S)
        _pull(opener, drawer)
        pick_from_above(placer, block + [0, 0, 0.008], yaw_of(data, "block"))
        inside = drawer + [-placer.outward * 0.015, -_PULL, 0.075]
        placer.move(0.7, [-placer.outward * 0.15, 0.44, 0.17], placer.pointing(np.deg2rad(75)))
        placer.until(opener.now_s - 0.9)
        placer.move(1.4, inside + [0, 0, 0.05], placer.pointing(np.deg2rad(62)))
        placer.move(0.5, inside)
        placer.move(0.35, grip=OPEN)
        placer.move(0.6, inside + [-placer.outward * 0.02, 0, 0.08])
        opener.until(placer.now_s)


class TakeFromDrawer(OpenDrawerPlace):
    """Success: one hand holds the drawer open, the other has taken the block out of it."""

    name = "take_from_drawer"

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw the same, the block inside the drawer, on the side of the hand that takes it."""
        super().place(model, data, rng)
        x, _, _, w, _, _, z = data.joint("block").qpos
        middle = data.mocap_pos[model.body("cabinet").mocapid[0]]
        x = OUTWARD[self.leads] * _TAKEN_FROM + _INSIDE * (x - sum(self.ranges["x"]) / 2)
        spot = middle + [x, 0.0, 0.011 + model.geom("block").size[2]]
        set_free_pose(model, data, "block", spot, _INSIDE * 2 * np.arctan2(z, w))

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether one hand has the block alone, well above the drawer, and the other the bar."""
        if data.body("block").xpos[2] < 0.12:
            return False
        pulls = [touching(model, data, arm, *_HANDLE) for arm in SIDES]
        return self.led_by(pulls) and [touching(model, data, arm, "block") for arm in SIDES] == [not p for p in pulls]

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """One hand pulls and holds; the other reaches into the drawer and lifts the block out."""
        drawer, block = data.body("drawer").xpos.copy(), data.body("block").xpos.copy()
        opener, taker = script.ordered()
        _pull(opener, drawer, off_middle=0.03)
        taker.move(1.0, [-taker.outward * 0.15, 0.5, 0.17], taker.pointing(np.deg2rad(75)), OPEN)
        taker.until(opener.now_s - 0.5)
        pick_from_above(taker, block + [0, -_PULL, 0.01], yaw_of(data, "block"), height=0.15, pitch=_LEANING)
        opener.until(taker.now_s + 0.5)


def _pull(hand: Hand, drawer: FloatArray, off_middle: float = 0.02) -> None:
    """Take the bar of the drawer, which is shut at `drawer` (3,) [m], on the hand's side, and pull it open."""
    bar = drawer + [-hand.outward * off_middle, _BAR_Y, _BAR_Z + 0.004]
    hand.move(1.3, bar + [0, 0, 0.08], hand.pointing(np.deg2rad(70)), OPEN)
    hand.move(0.6, bar)
    hand.move(0.4, grip=_GRIP)
    hand.move(1.0, bar + [0, -_PULL, 0])


def _boards() -> list[tuple[tuple[float, float, float], tuple[float, float, float]]]:
    """Return position and half size of the drawer's boards: bottom, sides, back, front, bar and its two stems."""
    middle = _RIM / 2 + 0.004
    boards = [((0.0, 0.0, 0.008), (_WIDE, _DEEP, _WALL))]
    boards += [((s * _WIDE, 0.0, middle + 0.004), (_WALL, _DEEP, _RIM / 2)) for s in (-1, 1)]
    boards += [((0.0, s * _DEEP, middle + 0.004), (_WIDE, _WALL, _RIM / 2)) for s in (-1, 1)]
    boards.append(((0.0, _BAR_Y, _BAR_Z), (0.05, 0.008, 0.008)))
    boards += [
        ((s * 0.045, (_BAR_Y - _DEEP) / 2, _BAR_Z - 0.012), (0.005, -(_BAR_Y + _DEEP) / 2, 0.005)) for s in (-1, 1)
    ]
    return boards
