"""What the closed loop asks of a simulation: ours (`sim.world`), or somebody else's (examples/gym_aloha)."""

from typing import Protocol

from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray, ImageArray


class Simulator(Protocol):
    """One robot in one episode; how an episode begins is the simulation's own."""

    robot: Robot

    @property
    def time_s(self) -> float:
        """Simulated time since the episode began [s]."""

    @property
    def samples(self) -> int:
        """How often drivers measure the joints in one control period."""

    def set_setpoint(self, position: FloatArray) -> None:
        """Give the servos their targets (J,) [rad], grippers [m]."""

    def step(self, duration_s: float) -> None:
        """Advance the physics [s]: a control period, or the share of it between two samples."""

    def joint_state(self) -> tuple[FloatArray, FloatArray]:
        """Return measured positions (J,) [rad] and velocities (J,) [rad/s], grippers [m] and [m/s]."""

    def render(self, camera: str) -> ImageArray:
        """Return the image (H, W, 3) that the robot's camera sees now."""

    def objects(self) -> FloatArray:
        """Return what the state track observes of the objects (D,), see `tasks.state`."""

    def succeeded(self) -> bool:
        """Return whether the episode was solved at any time since it began."""
