"""What is told of an episode that did not succeed: which hand touched what last, and how far it is from the goal."""

import mujoco
import numpy as np

from smp_bringup.sim.world import World
from smp_bringup.simulation import SIDES
from smp_bringup.tasks.shortfall import shortfall


class Account:
    """Watches a world from one reset to the next; `look` often: a touch between two looks is not seen."""

    def __init__(self, world: World) -> None:
        """Find fingers and objects among the geoms."""
        self._world, model = world, world.model
        names = [model.geom(i).name for i in range(model.ngeom)]
        self._finger = np.array([next((s for s in SIDES if n.startswith(f"{s}_finger")), "") for n in names])
        self._object = np.array([_carrier(model, i, world.task.objects) for i in range(model.ngeom)])
        self._touched, self._at_s = "", 0.0

    def look(self) -> None:
        """Take the contacts of this instant."""
        pairs = self._world.data.contact.geom
        for finger, thing in (pairs.T, pairs.T[::-1]):
            both = np.flatnonzero((self._finger[finger] != "") & (self._object[thing] != ""))
            if len(both):
                hand, what = self._finger[finger[both[0]]], self._object[thing[both[0]]]
                self._touched, self._at_s = f"the {hand} hand on {what.replace('_', ' ')}", self._world.time_s

    @property
    def touched(self) -> str:
        """Which hand touched which object last, and when."""
        if not self._touched:
            return "no hand touched an object of the task"
        return f"last contact: {self._touched}, at {self._at_s:.1f} s"

    @property
    def lacks(self) -> str:
        """How far the scene is from what the task wants."""
        return shortfall(self._world.task, self._world.model, self._world.data)


def _carrier(model: mujoco.MjModel, geom: int, objects: tuple[str, ...]) -> str:
    """Return which of the bodies `objects` a geom belongs to, by itself or through what carries it; or nothing."""
    body = int(model.geom_bodyid[geom])
    while body:
        if (name := model.body(body).name) in objects:
            return name
        body = int(model.body_parentid[body])
    return ""
