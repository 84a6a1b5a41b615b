"""Stack two blocks in the middle of the table, one from each side."""

import mujoco
import numpy as np

from smp_bringup.tasks.base import AbstractTask, add_free_box, resize, set_free_pose, touching, vivid, yaw_of
from smp_bringup.tasks.handover import OPEN, pick_from_above
from smp_bringup.tasks.script import Script

_HALF = 0.022
_GRASP_Z = 0.008
"""Blocks are grasped so far above their middle."""
_HALF_GAP = 0.012
"""Half of what is left between blocks that stand beside each other [m]: the fingers are wider than they are."""
_PLACE = np.array([0.0, 0.5])
_BLOCKS = {"left": "block_left", "right": "block_right"}


class StackBlocks(AbstractTask):
    """Success: one block rests on the other in the middle, and no hand touches either."""

    name = "stack_blocks"
    objects = ("block_left", "block_right")

    def add_objects(self, mjcf: mujoco.MjSpec) -> None:
        """Add a block for each side."""
        for name in _BLOCKS.values():
            add_free_box(mjcf, name, (_HALF, _HALF, _HALF), [0.3, 0.6, 0.9, 1])

    def place(self, model: mujoco.MjModel, data: mujoco.MjData, rng: np.random.Generator) -> None:
        """Draw the pose and the colour of each block on its side."""
        for (_, name), sign in zip(_BLOCKS.items(), (-1, 1), strict=True):
            x, y, yaw = self.draw(rng, "x", "y", "yaw")
            resize(model, name, self.draw(rng, "size")[0])
            set_free_pose(model, data, name, np.array([sign * x, y, model.geom(name).size[2]]), yaw)
            model.geom(name).rgba = vivid(rng, self.ranges[f"hue_{name.removeprefix('block_')}"])

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether the upper block lies on the lower one, near the middle, and all fingers are off."""
        apart = sum(model.geom(name).size[2] for name in _BLOCKS.values())
        low, high = sorted((data.body(name).xpos for name in _BLOCKS.values()), key=lambda p: p[2])
        return bool(
            np.linalg.norm(high[:2] - low[:2]) < self.limit("off_block")
            and abs(high[2] - low[2] - apart) < 0.006
            and np.linalg.norm(low[:2] - _PLACE) < self.limit("off_centre")
            and not any(touching(model, data, arm, *_BLOCKS.values()) for arm in _BLOCKS)
            and self.led_by([np.array_equal(low, data.body(name).xpos) for name in _BLOCKS.values()])
        )

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Both hands pick; one puts its block down in the middle and leaves, then the other stacks."""
        halves = {hand: model.geom(_BLOCKS[side]).size[2] for side, hand in script.hands.items()}
        script.stagger()
        for side, hand in script.hands.items():
            name = _BLOCKS[side]
            pick_from_above(hand, data.body(name).xpos + [0, 0, _GRASP_Z], yaw_of(data, name))
        first, second = script.ordered()
        target = np.array([*_PLACE, _GRASP_Z + 0.002])
        for hand, level in ((first, halves[first]), (second, 2 * halves[first] + halves[second])):
            if hand is second:
                hand.move(0.8, target + [-hand.outward * 0.14, 0, 0.12], hand.pointing(np.deg2rad(75)))
                hand.until(first.now_s - 0.9)
            hand.move(1.0, target + [0, 0, level + 0.09], hand.pointing(np.deg2rad(75)))
            hand.move(0.8, target + [0, 0, level])
            hand.move(0.3, grip=OPEN)
            hand.move(0.5, target + [-hand.outward * 0.02, 0, level + 0.1])
            hand.move(0.8, target + [-hand.outward * 0.18, 0, 0.16])


class BlocksSideBySide(StackBlocks):
    """Success: both blocks stand on the table beside each other in the middle, and no hand touches either."""

    name = "blocks_side_by_side"

    def succeeds(self, model: mujoco.MjModel, data: mujoco.MjData) -> bool:
        """Return whether both blocks are down near the middle with a small gap, and all fingers are off."""
        left, right = (data.body(name).xpos for name in _BLOCKS.values())
        halves = [model.geom(name).size[2] for name in _BLOCKS.values()]
        return bool(
            np.linalg.norm(left[:2] - right[:2]) < sum(halves) + self.limit("gap")
            and max(left[2] - halves[0], right[2] - halves[1]) < 0.006
            and np.linalg.norm((left + right)[:2] / 2 - _PLACE) < self.limit("off_centre")
            and not any(touching(model, data, arm, *_BLOCKS.values()) for arm in _BLOCKS)
        )

    def solve(self, model: mujoco.MjModel, data: mujoco.MjData, script: Script) -> None:
        """Both hands pick; one puts its block down beside the middle and leaves, then the other."""
        script.stagger()
        for side, hand in script.hands.items():
            name = _BLOCKS[side]
            pick_from_above(hand, data.body(name).xpos + [0, 0, _GRASP_Z], yaw_of(data, name))
        halves = {hand: model.geom(_BLOCKS[side]).size[2] for side, hand in script.hands.items()}
        first, second = script.ordered()
        for hand in (first, second):
            target = np.array([-hand.outward * (halves[hand] + _HALF_GAP), _PLACE[1], halves[hand] + _GRASP_Z + 0.002])
            if hand is second:
                hand.move(0.8, target + [-hand.outward * 0.12, 0, 0.12], hand.pointing(np.deg2rad(75)))
                hand.until(first.now_s - 0.9)
            hand.move(1.0, target + [0, 0, 0.09], hand.pointing(np.deg2rad(75)))
            hand.move(0.8, target)
            hand.move(0.3, grip=OPEN)
            hand.move(0.5, target + [-hand.outward * 0.02, 0, 0.1])
            hand.move(0.8, target + [-hand.outward * 0.18, 0, 0.16])
