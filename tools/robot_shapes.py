"""Write the frames and capsules of a robot's arms out of its simulation: config/geometry of the robots that ship.

    python tools/robot_shapes.py dual_panda panda panda_hand

One name for each entry of the first arm, itself and its hand; the other arm must be alike. Prints where the entries
stand, for `base` and `carried_by` of the robot file.
"""

import sys
from dataclasses import replace

import numpy as np

from smp_bringup.config import dump
from smp_bringup.description.arm_geometry import Placed, arm_geometries
from smp_bringup.description.model import Description
from smp_bringup.geometry import ArmGeometry
from smp_bringup.joints import DriverJoint
from smp_bringup.paths import share
from smp_bringup.robot import Robot, load_robot
from smp_bringup.sim.mjcf import compiled, robot_spec
from smp_bringup.sim.scene import DRAWN_TYPE
from smp_bringup.simulation import Simulation, load_simulation, model_name, model_range


def as_modelled(robot: Robot, simulation: Simulation) -> Robot:
    """Return a robot whose drivers say what the models have."""
    arms = []
    for arm in robot.arms:
        joints = tuple(
            replace(j, driver=DriverJoint(model_name(simulation, j.name), *model_range(j, simulation)))
            for j in arm.joints
        )
        arms.append(replace(arm, joints=joints, prefix=""))
    return replace(robot, arms=tuple(arms))


def read(robot: Robot) -> tuple[Placed, ...]:
    """Return the geometry of each entry of a robot."""
    simulation = load_simulation(robot)
    spec = robot_spec(robot, simulation)
    for mesh in spec.meshes:
        mesh.maxhullvert = -1  # all of it, not what is good enough to draw
    model = compiled(spec)
    model.geom_contype[model.geom_contype == DRAWN_TYPE] = 0
    return arm_geometries(as_modelled(robot, simulation), Description.of_model(model, robot.simulation)).placed


def plain(geometry: ArmGeometry, prefix: str) -> ArmGeometry:
    """Return a geometry whose capsules say nothing of the side."""
    return replace(geometry, capsules=tuple(replace(c, name=c.name.removeprefix(prefix)) for c in geometry.capsules))


def check_alike(first: ArmGeometry, second: ArmGeometry) -> None:
    """Raise AssertionError where the joints of two arms differ by more than rounding; tests look at the capsules."""
    for a, b in zip(first.joints, second.joints, strict=True):
        np.testing.assert_allclose((*a.origin, *a.axis), (*b.origin, *b.axis), atol=1e-4)


def main() -> None:
    """Write the files, and print where the entries stand."""
    robot, names = load_robot(sys.argv[1]), sys.argv[2:]
    placed = read(robot)
    for arm, entry in zip(robot.arms, placed, strict=True):
        print(arm.name, f"base: {list(entry.base)}", f"carried_by: {entry.carried_by}" * bool(entry.carried_by))
    for k, name in enumerate(names):
        left, right = plain(placed[k].geometry, "left_"), plain(placed[k + len(names)].geometry, "right_")
        check_alike(left, right)
        text = f"# Frames and capsules, made by tools/robot_shapes.py of config/simulations/{robot.simulation}.yaml\n"
        (share("config", "geometry") / f"{name}.yaml").write_text(text + dump(left), encoding="utf-8")
        print(f"{name}: {len(left.capsules)} capsules")


if __name__ == "__main__":
    main()
