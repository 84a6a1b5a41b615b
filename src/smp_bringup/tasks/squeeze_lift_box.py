"""Lift a box without handles by pressing on it from both sides."""

import mujoco
import numpy as np

from smp_bringup.tasks.base import AbstractTask, add_free_box, resize, set_free_pose, tilt_of, vivid, yaw_of
from smp_bringup.tasks.script import Script

_HALF = (0.07, 0.06, 0.06)
_SPREAD = 0.052
"""Fingers side by side and apart: two points on each face."""
_TIP_M = 0.018
"""The fingertips lie so far beyond the point between the pads."""
_PITCH = np.deg2rad(12)
_AWAY = 0.05
_PRESS = 0.005
"""The hands aim so far [m] behind the faces. The servos turn that into force; much more and the box buckles out."""
_RISE = 0.12


class SqueezeLiftBox(AbstractTask):
    """Success: the box is 8 cm up and level, between two hands."""

    name = "squeeze_lift_box"
    objects = ("box",)

    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add the box."""
        add_free_box(mjcf, "box", _HALF, [0.6, 0.4, 0.2, 1], mass=0.15)

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw the box's pose and colour."""
        x, y, yaw = self.draw(rng, "x", "y", "yaw")
        resize(model, "box", self.draw(rng, "size")[0])
        set_free_pose(model, data, "box", np.array([x, y, model.geom("box").size[2]]), yaw)
        model.geom("box").rgba = vivid(rng, self.ranges["hue"])

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the box is up and level."""
        up = data.body("box").xpos[2] > model.geom("box").size[2] + 0.08
        return bool(up and tilt_of(data, "box") < np.deg2rad(self.limit("tilt_deg")))

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Come to both faces from the sides, press, and lift together."""
        box, yaw = data.body("box").xpos.copy(), yaw_of(data, "box")
        along = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        reach, pressed = model.geom("box").size[0], {}
        script.stagger()
        for hand in script.hands.values():
            face = box - hand.outward * (reach + _TIP_M * np.cos(_PITCH)) * along + [0, 0, _TIP_M * np.sin(_PITCH)]
            away, press = -hand.outward * _AWAY * along, hand.outward * _PRESS * along
            hand.move(1.4, face + away, hand.pointing(_PITCH, yaw), _SPREAD)
            pressed[hand] = face + press
        script.meet()
        for hand, aim in pressed.items():
            hand.move(0.7, aim)
            hand.move(0.2)
            hand.move(1.1, aim + [0, 0, _RISE])
            hand.move(0.6)
