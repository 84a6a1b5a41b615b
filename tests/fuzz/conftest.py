"""A judge of the command core that knows nothing of it: positions, stamps and modes, as they were published."""

import numpy as np
import pytest

from smp_bringup.body import Body
from smp_bringup.safety.config import load_safety
from smp_bringup.types import nanoseconds

SLACK = 1e-6
"""Rounding, as a share of each limit."""
LATCHED = ("fault", "estop")


class Judge:
    """Takes what each cycle published, and says which laws it broke.

    Velocity, acceleration and jerk are differences of positions: of a motion within limits
    they are within the same limits. Before the first setpoint and after the last one the
    arms are taken to stand: they start from rest and are left at rest.
    """

    def __init__(self, robot):
        self.robot, self.config = robot, load_safety("default")
        self.period_s = robot.control_period_s
        self.limit = {key: robot.joint_array(key) for key in ("min", "max")}
        self.limit |= dict(zip(("velocity", "acceleration", "jerk"), robot.slopes, strict=True))
        fastest = np.where(robot.rates, np.maximum(-self.limit["min"], self.limit["max"]), 0.0)
        stop_s = 2 * (
            fastest / self.limit["velocity"]
            + self.limit["velocity"] / self.limit["acceleration"]
            + self.limit["acceleration"] / self.limit["jerk"]
        )
        self.stop_cycles = int(np.ceil(stop_s.max() / self.period_s))
        self.body = Body(robot, self.config.self_gap)
        self.found, self.cycles, self.segments = [], 0, []
        self.rows, self.mode, self.latched_for, self.far_cycle = [], "disarmed", 0, -(10**9)
        self.held_for = 0

    def asked(self, request, ok, measured, moving):
        """Hear of a request that was answered; only such change the mode, besides stops."""
        if ok and request == "arm":
            self.expect(self.mode == "disarmed" and not moving, "armed from another mode, or in motion")
            self.seed, self.mode, self.held_for = measured, "hold", np.inf  # arming moves nothing
            self._end()
        elif ok and request == "reset":
            self.expect(self.mode in LATCHED and not moving, "reset from another mode, or in motion")
            self.mode = "disarmed"
        elif ok and request == "disarm":
            self.expect(self.mode not in LATCHED, "disarmed while latched")
            self.mode = "disarmed"
        elif ok:
            self.expect(self.mode in ("hold", "policy", "teleop"), f"{request} while {self.mode}")
            self.held_for = self.held_for if self.mode == request else 0
            self.mode = request

    def pressed(self):
        """Hear of a press: the next cycle must be in the emergency stop."""
        self.mode = "estop"

    def take(self, output, now_ns, measured):
        """Judge one cycle; `measured` (J,) is the newest pose that was reported."""
        self.cycles += 1
        mode = output.mode.value
        stops = mode == "fault" and self.mode not in ("disarmed", "estop")
        self.expect(mode == self.mode or stops, f"from {self.mode} to {mode}, which nobody asked for")
        self.held_for += mode == "hold"
        self.latched_for = self.latched_for + 1 if mode in LATCHED and mode == self.mode else 0
        self.mode = mode
        if output.command is None:
            self.expect(mode == "disarmed" or mode in LATCHED, f"nothing is published in {mode}")
            self._end()
            return
        position = output.command.position
        if (np.abs(measured - position) > 0.9 * self.config.max_sag)[self.robot.turning].any():
            self.far_cycle = self.cycles
        self.expect(
            output.command.stamp_ns == now_ns + nanoseconds(self.period_s), "another stamp than the next cycle's"
        )
        if not self.rows:
            start = np.where(self.robot.rates, 0.0, np.clip(self.seed, self.limit["min"], self.limit["max"]))
            beside = (np.abs(measured - position) > self.config.max_sag)[self.robot.turning].any()
            again = mode == "estop" or (mode in LATCHED and not beside)  # after arms that sagged, where they lie
            self.expect(np.array_equal(position, start) or again, "a start elsewhere")
            self.expect(not position[self.robot.rates].any(), "a base that starts in motion")
        elif mode in LATCHED and self.latched_for > self.stop_cycles:
            self._stopped(position)
        elif mode == "hold" and self.held_for > self.stop_cycles:
            self.expect(np.array_equal(position, self.rows[-1]), "motion without a source")
        self.rows.append(position)

    def _stopped(self, position):
        """Judge a setpoint of a latched stop: it goes nowhere but, slowly, to arms that were far from it."""
        before = self.rows[-1]
        slow = np.abs(position - before) <= 0.2 * self.limit["velocity"] * self.period_s * (1 + SLACK)
        self.expect(not position[self.robot.rates].any(), "a base that drives after a stop")
        to_arms = slow.all() and self.cycles - self.far_cycle < 800
        self.expect(to_arms or np.array_equal(position, before), "motion after a stop")

    def finish(self):
        """Return every breach of a law, as text."""
        for rows in self.segments:
            self._judge(np.array(rows), left=True)
        if self.rows:
            self._judge(np.array(self.rows), left=False)
        return self.found

    def expect(self, right, what):
        if not right:
            self.found.append(f"cycle {self.cycles}: {what}")

    def _end(self):
        if self.rows:
            self.segments.append(self.rows)
        self.rows = []

    def _judge(self, position, left):
        """Judge consecutive setpoints (K, J); `left` says whether nothing followed them."""
        self.expect(np.isfinite(position).all(), "a setpoint that is not finite")
        self.expect(not (left and position[-1][self.robot.rates].any()), "a base that is left driving")
        outside = np.maximum(self.limit["min"] - position, position - self.limit["max"]).max()
        self.expect(outside <= 1e-8, f"{outside:g} outside the position limits")
        motion = np.concatenate([position[:1]] * 3 + [position] + [position[-1:]] * 3 * left)
        for key in ("velocity", "acceleration", "jerk"):
            motion = np.diff(motion, axis=0) / self.period_s
            excess = (np.abs(motion) / self.limit[key]).max() - 1
            self.expect(excess <= 100 * SLACK if key == "jerk" else excess <= SLACK, f"{key} {excess:g} over its limit")
        distance = self.body.distances(position)
        apart = ~self.body.touching & (distance[0] > self.config.stop_distance)
        nearest = distance[:, apart].min(initial=np.inf)
        self.expect(nearest >= self.config.stop_distance - 1e-4, f"links at {nearest:g} m")
        closing = (distance[:-1] - distance[1:])[:, self.body.touching] / self.period_s
        inside = distance[1:, self.body.touching] < self.config.touch_distance
        fastest = closing[inside].max(initial=0.0)
        self.expect(fastest <= self.config.touch_speed + 1e-6, f"fingertips meet at {fastest:g} m/s")


@pytest.fixture
def judge(robot):
    """A judge, of the shipped robot."""
    return Judge(robot)


@pytest.fixture
def make_judge():
    """Return a function that makes one of a robot."""
    return Judge
