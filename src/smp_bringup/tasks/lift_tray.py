"""Lift a tray by its two handles without losing the block that lies on it."""

import mujoco
import numpy as np

from smp_bringup.tasks.base import AbstractTask, add_free_box, resize, set_free_pose, tilt_of, vivid, yaw_of
from smp_bringup.tasks.handover import OPEN
from smp_bringup.tasks.script import Script

_PLATE = (0.1, 0.09, 0.006)
_HANDLE = 0.135
_BAR_HALF = (0.04, 0.012, 0.012)
_BAR_Z = 0.03
_BLOCK = 0.02
_GRIP = 0.008


class LiftTray(AbstractTask):
    """Success: the tray is 8 cm up and level, with the block on it."""

    name = "lift_tray"
    objects = ("tray", "load")

    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add the tray with a handle on each end, and the block."""
        tray = mjcf.worldbody.add_body(name="tray", pos=[0, 0.5, 0])
        tray.add_freejoint(name="tray")
        surface = dict(condim=6, friction=[1.0, 0.02, 0.001], solref=[0.004, 1], solimp=[0.95, 0.99, 0.001, 0.5, 2])
        box = mujoco.mjtGeom.mjGEOM_BOX
        tray.add_geom(name="plate", type=box, pos=[0, 0, _PLATE[2]], size=_PLATE, mass=0.15, **surface)
        for i, (position, half) in enumerate(_rims()):
            tray.add_geom(name=f"rim{i}", type=box, pos=position, size=half, mass=0.01, **surface)
        for side, sign in (("left", -1), ("right", 1)):
            bar = [sign * _HANDLE, 0, _BAR_Z]
            tray.add_geom(name=f"handle_{side}", type=box, pos=bar, size=_BAR_HALF, mass=0.03, **surface)
        add_free_box(mjcf, "load", (_BLOCK, _BLOCK, _BLOCK), [0.9, 0.6, 0.1, 1], mass=0.03)

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw the tray's pose and colour, and where the block lies on it."""
        x, y, yaw = self.draw(rng, "x", "y", "yaw")
        load_x, load_y = self.draw(rng, "load", "load")
        size = self.draw(rng, "size")[0]
        resize(model, "tray", size)
        set_free_pose(model, data, "tray", np.array([x, y, 0.0]), yaw)
        c, s = np.cos(yaw), np.sin(yaw)
        offset = np.array([c * load_x - s * load_y, s * load_x + c * load_y])
        set_free_pose(model, data, "load", np.array([x + offset[0], y + offset[1], 2 * size * _PLATE[2] + _BLOCK]), yaw)
        colour = vivid(rng, self.ranges["hue"])
        for name in ("plate", *(f"rim{i}" for i in range(4)), "handle_left", "handle_right"):
            model.geom(name).rgba = colour
        model.geom("load").rgba = vivid(rng, self.ranges["load_hue"])

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the tray is up and level and carries the block."""
        tray, load = data.body("tray").xpos, data.body("load").xpos
        return bool(
            tray[2] > 0.08
            and tilt_of(data, "tray") < np.deg2rad(self.limit("tilt_deg"))
            and np.linalg.norm(load[:2] - tray[:2]) < self.limit("off_centre")
            and 0 < load[2] - tray[2] < 0.06
        )

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Grasp both handles from above and lift them together."""
        yaw = yaw_of(data, "tray")
        script.stagger()
        for side, hand in script.hands.items():
            grasp = data.geom(f"handle_{side}").xpos.copy() + [-hand.outward * 0.008, 0, 0.012]
            hand.move(1.3, grasp + [0, 0, 0.09], hand.pointing(np.deg2rad(65), yaw), OPEN)
            hand.move(0.7, grasp)
            hand.move(0.4, grip=_GRIP)
        script.meet()
        for hand in script.hands.values():
            hand.move(1.2, hand.last.position + [0, 0, 0.15])
            hand.move(0.6)


def _rims() -> list[tuple[tuple[float, float, float], tuple[float, float, float]]]:
    x, y, _ = _PLATE
    sides = [((sign * x, 0.0, 0.018), (0.005, y, 0.018)) for sign in (-1, 1)]
    return sides + [((0.0, sign * y, 0.018), (x, 0.005, 0.018)) for sign in (-1, 1)]
