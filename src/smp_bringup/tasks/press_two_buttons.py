"""Press two buttons at the same time, one with each hand."""

import mujoco
import numpy as np

from smp_bringup.tasks.base import AbstractTask, vivid
from smp_bringup.tasks.script import Script

_RADIUS = 0.03
_TRAVEL = 0.012
_TOP = 0.045
_SHUT = 0.0
_TIP_M = 0.018
"""The fingertips lie so far beyond the point between the pads."""


class PressTwoButtons(AbstractTask):
    """Success: both buttons are down together."""

    name = "press_two_buttons"
    objects = ("button_left", "button_right")

    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add a button on a spring for each side."""
        for side in ("left", "right"):
            base = mjcf.worldbody.add_body(name=f"base_{side}", mocap=True)
            base.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CYLINDER,
                pos=[0, 0, 0.012],
                size=[0.045, 0.012, 0],
                rgba=[0.1, 0.1, 0.1, 1],
                contype=0,
                conaffinity=0,
            )
            cap = mjcf.worldbody.add_body(name=f"button_{side}", pos=[0, 0.5, 0], gravcomp=1)
            for axis, vector in (("x", [1, 0, 0]), ("y", [0, 1, 0])):
                slide = cap.add_joint(name=f"button_{side}_{axis}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=vector)
                slide.armature = 1000
            cap.add_joint(
                name=f"button_{side}",
                type=mujoco.mjtJoint.mjJNT_SLIDE,
                axis=[0, 0, 1],
                stiffness=300,
                damping=6,
                springref=0.0,
                range=[-_TRAVEL, 0],
                limited=True,
            )
            cap.add_geom(
                name=f"button_{side}",
                type=mujoco.mjtGeom.mjGEOM_CYLINDER,
                pos=[0, 0, _TOP - 0.012],
                size=[_RADIUS, 0.012, 0],
                rgba=[0.8, 0.2, 0.2, 1],
                mass=0.05,
            )

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw where each button stands, and its colour."""
        for side, sign in (("left", -1), ("right", 1)):
            x, y = self.draw(rng, "x", "y")
            data.joint(f"button_{side}_x").qpos[0] = sign * x
            data.joint(f"button_{side}_y").qpos[0] = y - 0.5
            data.mocap_pos[model.body(f"base_{side}").mocapid[0]] = [sign * x, y, 0]
            model.geom(f"button_{side}").rgba = vivid(rng, self.ranges["hue"])

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether both buttons are at least 6 mm down, and went down at nearly the same time."""
        down = [data.joint(f"button_{side}").qpos[0] < -0.006 for side in ("left", "right")]
        for i, pressed in enumerate(down):
            since = data.userdata[i] or data.time
            data.userdata[i] = since if pressed else 0.0
        return all(down) and bool(abs(data.userdata[0] - data.userdata[1]) < self.limit("apart_s"))

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Hover over each button with closed fingers, press both, stay, draw back."""
        script.stagger()
        for side, hand in script.hands.items():
            above = data.geom(f"button_{side}").xpos + [0, 0, 0.012 + _TIP_M + 0.06]
            hand.move(1.4, above, hand.pointing(np.pi / 2 * 0.9), _SHUT)
        script.meet()
        for hand in script.hands.values():
            above = hand.last.position
            hand.move(0.8, above - [0, 0, 0.06 + 0.02])
            hand.move(0.5)
            hand.move(0.6, above)
