"""Pick up a block with one hand, pass it to the other, and drop it into a bin."""

import mujoco
import numpy as np

from smp_bringup.tasks.base import AbstractTask, add_free_box, resize, set_free_pose, touching, vivid, yaw_of
from smp_bringup.tasks.handover import OPEN, hand_over, handed_over, pick_from_above
from smp_bringup.tasks.script import Script

_HALF = (0.018, 0.018, 0.042)
_BIN = 0.085
_WALL = 0.03


class HandoverToBin(AbstractTask):
    """Success: the block, once passed from hand to hand, lies inside the bin."""

    name = "handover_to_bin"
    objects = ("block", "bin")

    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add the standing block and the bin."""
        add_free_box(mjcf, "block", _HALF, [0.1, 0.7, 0.2, 1])
        body = mjcf.worldbody.add_body(name="bin", mocap=True)
        sides = [((0.0, 0.0, 0.004), (_BIN, _BIN, 0.004))]
        for sign in (-1, 1):
            sides.append(((sign * _BIN, 0.0, _WALL), (0.004, _BIN, _WALL)))
            sides.append(((0.0, sign * _BIN, _WALL), (_BIN, 0.004, _WALL)))
        for i, (position, half) in enumerate(sides):
            body.add_geom(
                name=f"bin{i}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                pos=position,
                size=half,
                rgba=[0.2, 0.3, 0.75, 1],
                conaffinity=1,
            )

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw the poses of block and bin, and a greenish block."""
        x, y, yaw, bin_x, bin_y = self.draw(rng, "x", "y", "yaw", "bin_x", "bin_y")
        resize(model, "block", self.draw(rng, "size")[0])
        set_free_pose(model, data, "block", np.array([x, y, model.geom("block").size[2]]), yaw)
        data.mocap_pos[model.body("bin").mocapid[0]] = [bin_x, bin_y, 0]
        model.geom("block").rgba = vivid(rng, self.ranges["hue"])

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the block was passed on, and is low and between the walls."""
        touches = [touching(model, data, arm, "block") for arm in ("left", "right")]
        if handed_over(data, data.body("block").xpos[2] > 0.1, touches) and self.led_by(touches):
            data.userdata[1] = 1
        offset = data.body("block").xpos - data.body("bin").xpos
        inside = np.all(np.abs(offset[:2]) < self.limit("off_centre")) and offset[2] < 0.07
        return bool(inside and data.userdata[1])

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Grasp the block's upper half, pass it on by its lower half, carry it over the bin and open."""
        block, target = data.body("block").xpos.copy(), data.body("bin").xpos.copy()
        taker, giver = script.ordered()
        pick_from_above(giver, block + [0, 0, 0.022], yaw_of(data, "block"))
        hand_over(giver, taker, roll=0.0, gap=0.046)
        taker.move(0.5, [-taker.outward * 0.14, 0.5, taker.meeting.height - 0.01])
        taker.move(1.0, [target[0], target[1], 0.19], taker.pointing(np.pi / 3))
        taker.move(0.35, grip=OPEN)
        taker.move(0.5, [target[0], target[1], 0.24])
