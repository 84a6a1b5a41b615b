"""A recording for the calibration of latencies: both arms wiggle, and cameras stamp their frames late."""

from pathlib import Path

import numpy as np

from smp_bringup.bag.messages import IMAGE, JOINT_STATE, image_cdr, joint_state_cdr
from smp_bringup.bag.writer import BagWriter
from smp_bringup.robot import Robot
from smp_bringup.sim.lockstep import START_NS
from smp_bringup.sim.scene import PHYSICS_PERIOD_S
from smp_bringup.sim.world import World
from smp_bringup.types import FloatArray, nanoseconds

_REACH = 0.25
"""Largest swing [rad]."""
_SWINGS = ((0.73, 0.5), (1.13, 0.3), (1.61, 0.2))
"""Frequencies [Hz] and shares of the swing: a person who changes speed while swinging the arms to and fro."""


def wiggle(robot: Robot, time_s: float) -> FloatArray:
    """Return joint setpoints (J,): the first joint of every arm swings to and fro about home, the others rest.

    One joint per arm, because servos of several joints lag differently, and what a camera sees first would bias it.
    """
    out = np.array(robot.joint_array("home"))
    for part in robot.arm_slices.values():
        out[part.start] += _REACH * sum(share * np.sin(2 * np.pi * f * time_s) for f, share in _SWINGS)
    return out


def record_wiggle(world: World, robot: Robot, folder: Path, delay_s: float, duration_s: float, seed: int) -> None:
    """Record a wiggle to the bag `folder`; every camera's stamp is its exposure plus `delay_s`."""
    world.reset(seed)
    writer = BagWriter(folder, robot, "wiggle")
    every = {c.name: round(1 / (c.rate_hz * PHYSICS_PERIOD_S)) for c in robot.cameras}
    state_every = round(1 / (robot.state_rate_hz * PHYSICS_PERIOD_S))
    waiting = []
    for k in range(int(duration_s / PHYSICS_PERIOD_S)):
        now = START_NS + nanoseconds(k * PHYSICS_PERIOD_S)
        world.set_setpoint(wiggle(robot, world.time_s))
        if k % state_every == 0:
            position, velocity = world.joint_state()
            for joints in robot.state_topics:
                measured = joints.positions(position), joints.velocities(velocity)
                waiting.append((now, joints.topic, JOINT_STATE, joint_state_cdr(now, joints.names, *measured)))
        for camera in robot.cameras:
            if k % every[camera.name] == 0:
                stamp = now + nanoseconds(delay_s)
                body = image_cdr(stamp, camera.name, world.render(camera.name))
                waiting.append((stamp, camera.raw_topic, IMAGE, body))
        world.step(PHYSICS_PERIOD_S)
    for at, topic, kind, body in sorted(waiting, key=lambda message: message[0]):
        writer.write(topic, kind, at, body)
    writer.close(True)
