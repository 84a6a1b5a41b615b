"""The closed loop without ROS, as fast as the machine allows: the same core objects, a simulated clock.

One tick is one control period: the source speaks, the command core answers, the
physics advances, and sensors publish what they would publish.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from smp_bringup.errors import StoppedError
from smp_bringup.pipeline import build_command
from smp_bringup.robot import Robot
from smp_bringup.safety.modes import Mode
from smp_bringup.safety.output import CommandOutput
from smp_bringup.sim.simulator import Simulator
from smp_bringup.types import Command, Frame, JointSample, Severity, nanoseconds

START_NS = 1_700_000_000 * 1_000_000_000
"""Stamps of a lockstep episode begin here."""


@dataclass
class Lockstep:
    """One simulated robot under its command core."""

    world: Simulator
    robot: Robot
    on_state: Callable[[JointSample], None] = lambda sample: None
    on_frame: Callable[[str, Frame], None] = lambda camera, frame: None
    on_command: Callable[[Command], None] = lambda command: None
    wants_frame: Callable[[str, int], bool] = lambda camera, now_ns: True
    """Whether anybody will look at this camera's frame; drawing is the dearest part of a tick."""
    now_ns: int = START_NS
    start_ns: int = START_NS
    tick: int = field(default=0, init=False)
    output: CommandOutput | None = field(default=None, init=False)
    """What the command core said in the last period."""

    held_s: dict[str, float] = field(default_factory=dict, init=False)
    """For how long what held the arms [s], by check and reason."""

    def __post_init__(self) -> None:
        self.command = build_command(self.robot)

    def start(self, source: Mode) -> None:
        """Measure once, arm, and follow `source` as soon as it speaks.

        Raises:
            StoppedError: the arms are not armed where they stand at home.
        """
        self._source = source
        self._sense()
        self._look()
        reply = self.command.arm(self.now_ns)
        if not reply.ok:
            raise StoppedError(f"the arms are not armed: {reply.message}")

    def advance(self) -> Command:
        """Run one control period and return the command that was followed.

        Raises:
            StoppedError: a check has stopped the arms, and they have come to rest.
        """
        if self.command.mode is Mode.HOLD:
            self.command.use(self._source, self.now_ns, self.now_ns)  # refused until the source speaks
        self.output = output = self.command.step(self.now_ns, self.now_ns)
        if output.command is None:
            verdict = self.command.verdict
            raise StoppedError(
                f"{verdict.check or 'disarm'} stopped the arms: {verdict.reason or 'somebody disarmed them'}"
            )
        if output.verdict.severity >= Severity.HOLD and self.tick:
            said = f"{output.verdict.check}: {output.verdict.reason.partition(' (for more')[0]}"
            self.held_s[said] = self.held_s.get(said, 0.0) + self.robot.control_period_s
        self.on_command(output.command)
        self.world.set_setpoint(output.command.position)
        period_s = self.robot.control_period_s / self.world.samples
        for _ in range(self.world.samples):
            self.world.step(period_s)
            self.now_ns += nanoseconds(period_s)
            self._sense()
        self.tick += 1
        self._look()
        return output.command

    def _sense(self) -> None:
        position, velocity = self.world.joint_state()
        for arm in self.robot.arms:
            part = self.robot.arm_slices[arm.name]
            sample = JointSample(self.now_ns, position[part], velocity[part])
            self.command.on_state(arm.name, sample, self.now_ns)
        self.on_state(JointSample(self.now_ns, position, velocity))

    def _look(self) -> None:
        for camera in self.robot.cameras:
            if camera.exposes(self.tick, self.robot.control_period_s) and self.wants_frame(camera.name, self.now_ns):
                self.on_frame(camera.name, Frame(self.now_ns, self.world.render(camera.name)))
