"""How often the arms touch each other, and press on the table; counted beside the physics, which lets arms pass.

A collision begins when what was apart touches: two arms when the convex hulls of two of
their links (fingers included) overlap, an arm and the table when a link presses on it with more than PRESS_N.
"""

import mujoco
import numpy as np

from smp_bringup.robot import Robot
from smp_bringup.sim.scene import ARM_TYPE
from smp_bringup.simulation import load_simulation, model_name

PRESS_N = 20.0
"""Fingertips that graze the table while they grasp press less."""


class Collisions:
    """Counts beginnings of collisions; `look` once every action period."""

    def __init__(self, model: mujoco.MjModel, robot: Robot) -> None:
        """Find the links of both arms; the fixed base of an arm is no link."""
        self._model = model
        simulation = load_simulation(robot)
        firsts = [robot.arm(hand.arm).joints[0].name for hand in simulation.hands.values()]
        links = [moved_by(model, model_name(simulation, joint)) for joint in firsts]
        first, second = (np.array(side) for side in links)
        self._first, self._second = np.repeat(first, len(second)), np.tile(second, len(first))
        self._links = np.concatenate([first, second])
        self._table = model.geom("table").id
        self._touching = {"arms": False, "table": False}
        self.arms = 0
        """Times that the arms came to touch each other."""
        self.table = 0
        """Times that an arm came to press on the table."""

    def look(self, data: mujoco.MjData) -> None:
        """Compare this instant with the one before."""
        arms, table = self._arms_touch(data), self._table_pressed(data)
        self.arms += arms and not self._touching["arms"]
        self.table += table and not self._touching["table"]
        self._touching = {"arms": arms, "table": table}

    def _arms_touch(self, data: mujoco.MjData) -> bool:
        apart = np.linalg.norm(data.geom_xpos[self._first] - data.geom_xpos[self._second], axis=1)
        reach = self._model.geom_rbound[self._first] + self._model.geom_rbound[self._second]
        for k in np.flatnonzero(apart < reach):
            pair = int(self._first[k]), int(self._second[k])
            if mujoco.mj_geomDistance(self._model, data, *pair, 0.01, None) < 0:
                return True
        return False

    def _table_pressed(self, data: mujoco.MjData) -> bool:
        pairs = data.contact.geom
        ours = np.isin(pairs, self._links).any(axis=1) & (pairs == self._table).any(axis=1)
        force = np.zeros(6)
        for i in np.flatnonzero(ours):
            mujoco.mj_contactForce(self._model, data, int(i), force)
            if force[0] > PRESS_N:
                return True
        return False


def moved_by(model: mujoco.MjModel, joint: str) -> list[int]:
    """Return the geoms with which what a joint moves collides."""
    body = model.joint(joint).bodyid[0]
    behind = {int(body)}
    for i in range(model.nbody):  # a body comes after the one that carries it
        if int(model.body_parentid[i]) in behind:
            behind.add(i)
    return [i for i in range(model.ngeom) if model.geom_bodyid[i] in behind and model.geom_contype[i] == ARM_TYPE]
