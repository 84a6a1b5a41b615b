"""Pick up a cube with one hand and pass it to the other."""

import mujoco
import numpy as np

from smp_bringup.tasks.base import AbstractTask, add_free_box, resize, set_free_pose, touching, vivid, yaw_of
from smp_bringup.tasks.handover import hand_over, handed_over, pick_from_above
from smp_bringup.tasks.script import Script

_HALF = 0.02


class TransferCube(AbstractTask):
    """Success: the hand that did not pick the cube up has it alone in the air, and holds it still."""

    name = "transfer_cube"
    objects = ("cube",)

    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add the cube."""
        add_free_box(mjcf, "cube", (_HALF, _HALF, _HALF), [0.85, 0.1, 0.1, 1])

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw the cube's pose and a reddish colour."""
        x, y, yaw = self.draw(rng, "x", "y", "yaw")
        resize(model, "cube", self.draw(rng, "size")[0])
        set_free_pose(model, data, "cube", np.array([x, y, model.geom("cube").size[2]]), yaw)
        model.geom("cube").rgba = vivid(rng, self.ranges["hue"])

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the second hand alone has the cube, 8 cm up and slow."""
        touches = [touching(model, data, arm, "cube") for arm in ("left", "right")]
        passed = handed_over(data, data.body("cube").xpos[2] > 0.08, touches)
        return passed and bool(np.linalg.norm(data.joint("cube").qvel[:3]) < self.limit("speed"))

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Pick with one hand, meet in the middle, let the other hand take it."""
        cube = data.body("cube").xpos.copy()
        taker, giver = script.ordered()
        pick_from_above(giver, cube + [0, 0, 0.012], yaw_of(data, "cube"))
        hand_over(giver, taker, roll=np.pi / 2, gap=0.0)
        taker.move(0.8, [-taker.outward * 0.12, 0.5, taker.meeting.height])
