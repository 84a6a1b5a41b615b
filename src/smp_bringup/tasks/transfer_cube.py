"""Pick up a cube with the right hand and pass it to the left."""

import mujoco
import numpy as np

from smp_bringup.tasks.base import AbstractTask, add_free_box, set_free_pose, touching, vivid, yaw_of
from smp_bringup.tasks.handover import hand_over, pick_from_above
from smp_bringup.tasks.script import Script

_HALF = 0.02


class TransferCube(AbstractTask):
    """Success: the left fingers hold the cube above the table and the right fingers have let go."""

    name = "transfer_cube"
    objects = ("cube",)

    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add the cube."""
        add_free_box(mjcf, "cube", (_HALF, _HALF, _HALF), [0.85, 0.1, 0.1, 1])

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw the cube's pose and a reddish colour."""
        x, y, yaw = self.draw(rng, "x", "y", "yaw")
        set_free_pose(model, data, "cube", np.array([x, y, _HALF]), yaw)
        model.geom("cube").rgba = vivid(rng, self.config.ranges["hue"])

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether only the left hand holds the cube, 8 cm up."""
        return (
            data.body("cube").xpos[2] > 0.08
            and touching(model, data, "left", "cube")
            and not touching(model, data, "right", "cube")
        )

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Pick with the right hand, meet in the middle, let the left hand take it."""
        cube = data.body("cube").xpos.copy()
        pick_from_above(script.hands["right"], cube + [0, 0, 0.012], yaw_of(data, "cube"))
        hand_over(script, "right", "left", roll=np.pi / 2, gap=0.0)
        script.hands["left"].move(0.8, [-0.12, 0.5, 0.26])
