"""Pick up a cube with one hand and pass it to the other."""

import mujoco
import numpy as np

from smp_bringup.simulation import SIDES
from smp_bringup.tasks.base import AbstractTask, add_free_box, resize, set_free_pose, touching, vivid, yaw_of
from smp_bringup.tasks.handover import OPEN, hand_over, handed_over, pick_from_above
from smp_bringup.tasks.script import OUTWARD, Script

_HALF = 0.02
_PLACE_X = 0.15
"""So far [m] from the middle, on its own side, a hand puts the cube down."""


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
        touches = [touching(model, data, arm, "cube") for arm in SIDES]
        passed = handed_over(data, data.body("cube").xpos[2] > 0.08, touches) and self.led_by(touches)
        return passed and bool(np.linalg.norm(data.joint("cube").qvel[:3]) < self.limit("speed"))

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Pick with one hand, meet in the middle, let the other hand take it."""
        cube = data.body("cube").xpos.copy()
        taker, giver = script.ordered()
        pick_from_above(giver, cube + [0, 0, 0.012], yaw_of(data, "cube"))
        hand_over(giver, taker, roll=np.pi / 2, gap=0.0)
        taker.move(0.8, [-taker.outward * 0.12, 0.5, taker.meeting.height])


class TransferAndPlace(TransferCube):
    """Success: the hand that got the cube has put it down on its own side, and let go."""

    name = "transfer_and_place"

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the cube was passed on, and lies at the place of the hand that took it."""
        touches = [touching(model, data, arm, "cube") for arm in SIDES]
        cube = data.body("cube").xpos
        if handed_over(data, cube[2] > 0.08, touches) and self.led_by(touches):
            data.userdata[1] = -OUTWARD[SIDES[touches.index(True)]]
        place = [data.userdata[1] * _PLACE_X, 0.5]
        down = cube[2] < model.geom("cube").size[2] + 0.006 and not any(touches)
        return bool(data.userdata[1] and down and np.linalg.norm(cube[:2] - place) < self.limit("off_place"))

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Pass the cube on; the hand that takes it puts it down on its side."""
        super().solve(model, data, script)
        taker = script.ordered()[0]
        place = np.array([-taker.outward * _PLACE_X, 0.5, model.geom("cube").size[2] + 0.004])
        taker.move(1.3, place + [0, 0, 0.1], taker.pointing(np.pi / 2 * 0.9, roll=np.pi / 2))
        taker.move(0.7, place)
        taker.move(0.35, grip=OPEN)
        taker.move(0.6, place + [0, 0, 0.1])


class TransferAndReturn(TransferCube):
    """Success: the hand that picked the cube up has it back from the other, alone in the air, and holds it still."""

    name = "transfer_and_return"

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the first hand alone has the cube again after the other had it, 8 cm up and slow."""
        touches = [touching(model, data, arm, "cube") for arm in SIDES]
        lifted = data.body("cube").xpos[2] > 0.08
        if handed_over(data, lifted, touches) and self.led_by(touches):
            data.userdata[1] = 1
        back = lifted and sum(touches) == 1 and 1 + touches.index(True) == data.userdata[0]
        still = np.linalg.norm(data.joint("cube").qvel[:3]) < self.limit("speed")
        return bool(data.userdata[1] and back and still)

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Pass the cube on, and take it back in the same way."""
        super().solve(model, data, script)
        taker, giver = script.ordered()
        hand_over(taker, giver, roll=np.pi / 2, gap=0.0)
        giver.move(0.8, [-giver.outward * 0.12, 0.5, giver.meeting.height])
