"""Pick up a block with the right hand, pass it to the left, and drop it into a bin."""

import mujoco
import numpy as np

from smp_bringup.tasks.base import AbstractTask, add_free_box, set_free_pose, vivid, yaw_of
from smp_bringup.tasks.handover import OPEN, hand_over, pick_from_above
from smp_bringup.tasks.script import Script

_HALF = (0.018, 0.018, 0.042)
_BIN = 0.085
_WALL = 0.03


class HandoverToBin(AbstractTask):
    """Success: the block lies inside the bin and no hand is near it."""

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
                name=f"bin{i}", type=mujoco.mjtGeom.mjGEOM_BOX, pos=position, size=half,
                rgba=[0.2, 0.3, 0.75, 1], conaffinity=1,
            )  # fmt: skip

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw the poses of block and bin, and a greenish block."""
        x, y, yaw, bin_x, bin_y = self.draw(rng, "x", "y", "yaw", "bin_x", "bin_y")
        set_free_pose(model, data, "block", np.array([x, y, _HALF[2]]), yaw)
        data.mocap_pos[model.body("bin").mocapid[0]] = [bin_x, bin_y, 0]
        model.geom("block").rgba = vivid(rng, self.config.ranges["hue"])

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the block is low and between the walls."""
        offset = data.body("block").xpos - data.body("bin").xpos
        return bool(np.all(np.abs(offset[:2]) < _BIN) and offset[2] < 0.07)

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Grasp the block's upper half, pass it on by its lower half, carry it over the bin and open."""
        block, target = data.body("block").xpos.copy(), data.body("bin").xpos.copy()
        pick_from_above(script.hands["right"], block + [0, 0, 0.022], yaw_of(data, "block"))
        hand_over(script, "right", "left", roll=0.0, gap=0.046)
        left = script.hands["left"]
        left.move(0.5, [-0.14, 0.5, 0.25])
        left.move(1.0, [target[0], target[1], 0.19], left.pointing(np.pi / 3))
        left.move(0.35, grip=OPEN)
        left.move(0.5, [target[0], target[1], 0.24])
