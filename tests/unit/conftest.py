"""A command core with a fake clock, for every test of it."""

import numpy as np
import pytest

from smp_bringup.safety.command import CommandCore
from smp_bringup.safety.config import load_safety
from smp_bringup.safety.modes import Mode
from smp_bringup.types import ActionChunk, JointSample

MS = 1_000_000
T0 = 1_700_000_000_000_000_000
STEADY0 = 5_000_000_000


class Rig:
    """A command core, its clocks, and arms that are where they were told to be."""

    def __init__(self, robot, config=None):
        self.robot, self.ms = robot, 0
        self.core = CommandCore(robot, config or load_safety("default"))
        self.measured = np.array(robot.joint_array("home"))
        self.silent, self.rows = set(), []
        self.feed()

    @property
    def now(self):
        return T0 + self.ms * MS

    @property
    def steady(self):
        return STEADY0 + self.ms * MS

    def feed(self):
        for arm in self.robot.arms:
            if arm.name not in self.silent:
                part = self.measured[self.robot.arm_slices[arm.name]]
                self.core.on_state(arm.name, JointSample(self.now, part, np.zeros_like(part)), self.steady)

    def step(self, cycles=1, say=None):
        """Run cycles; `say(rig)` speaks before each."""
        for _ in range(cycles):
            self.ms += 10
            self.feed()
            if say is not None:
                say(self)
            output = self.core.step(self.now, self.steady)
            if output.command is not None:
                command = output.command
                self.measured = command.position.copy()
                self.rows.append(np.array([command.position, command.velocity, command.acceleration]))
        return output

    def chunk(self, offset=0.0, age_ms=0, steps=16):
        position = np.tile(self.measured + offset, (steps, 1))
        return ActionChunk(self.now - age_ms * MS, 0.04, position)

    def take(self, chunk, source=""):
        return self.core.on_chunk(chunk, self.now, self.steady, source)

    def teleop(self, offset=0.0, velocity=0.0, source="", stamp_ns=None):
        wanted = np.full(self.robot.dof, velocity)
        sample = JointSample(self.now if stamp_ns is None else stamp_ns, self.measured + offset, wanted)
        return self.core.on_teleop(sample, self.now, self.steady, source)

    def say(self, source, name=""):
        """Let a source want the arms where they are."""
        return self.take(self.chunk(age_ms=100), name) if source is Mode.POLICY else self.teleop(source=name)

    def use(self, source):
        return self.core.use(source, self.now, self.steady)

    def arm(self):
        return self.core.arm(self.steady)

    def reset(self):
        return self.core.reset(self.steady)

    def following(self, source=Mode.POLICY):
        """Arm, follow a source that wants the arms where they are, and let the ramp-in pass."""
        assert self.arm().ok
        self.say(source)
        assert self.use(source).ok
        self.step(101, lambda rig: rig.say(source))
        assert self.core.mode is source
        return self


@pytest.fixture
def rig(robot):
    return Rig(robot)


@pytest.fixture
def make_rig(robot):
    """Return a function that makes a rig with other safety settings."""
    return lambda config: Rig(robot, config)
