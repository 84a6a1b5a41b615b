"""One joint: its limits, and what its driver calls it and says of it."""

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.joint_units import GRIPPER, NARROWEST, ROLLING, SLIDING, SPINNING, TURNING, Plausible, check_limits
from smp_bringup.names import check_name
from smp_bringup.types import FloatArray


@dataclass(frozen=True)
class DriverJoint:
    """What a driver calls a joint, and where it says it is; what is left out is as we say it."""

    name: str = ""
    min: float | None = None
    """What the driver says where we say `min`, in its own unit: 0.8 where a hand is closed, 0 to 100, a sign turned."""
    max: float | None = None
    effort: float = field(default=0.0, metadata=spec(ge=0, unit="N or N m"))
    """How hard it may push, of a hand that is told by goals; 0 is left out where the action lets it be."""


@dataclass(frozen=True)
class Joint:
    """One actuated joint and the limits that every setpoint keeps.

    The value of most is where it is. The value of a rate is how fast it goes, and its rest is 0.
    """

    name: str
    min: float
    """Of its value [rad], joints that do not turn [m], rates [rad/s] and [m/s]."""
    max: float
    velocity: float = field(default=0.0, metadata=spec(ge=0, unit="rad/s"))
    """Left out of a rate: `min` and `max` bound its velocity."""
    acceleration: float = field(default=0.0, metadata=spec(gt=0, unit="rad/s^2"))
    jerk: float = field(default=0.0, metadata=spec(gt=0, unit="rad/s^3"))
    home: float = 0.0
    gripper: bool = False
    """Fingers of a hand; in m."""
    prismatic: bool = False
    """Slides, as a lift does; in m."""
    rate: bool = False
    """It is told how fast to go, not where to be, as a base that drives is."""
    driver: DriverJoint = DriverJoint()

    def __post_init__(self) -> None:
        check_name("joint", self.name)
        if self.driver.name:
            check_name("joint", self.driver.name)
        self._check_kind()
        kind, speed = self.kind, max(-self.min, self.max) if self.rate else self.velocity
        rates = {
            "min and max" if self.rate else "velocity": (speed, kind.velocity),
            "acceleration": (self.acceleration, kind.acceleration),
            "jerk": (self.jerk, kind.jerk),
        }
        positions = {} if self.rate else {"min": self.min, "max": self.max, "home": self.home}
        check_limits(self.name, kind, positions, rates)
        if not self.min < self.max:
            raise ConfigError(f"joint '{self.name}': min {self.min:g} must be below max {self.max:g}")
        if not self.min <= self.home <= self.max:
            raise ConfigError(f"joint '{self.name}': home {self.home:g} is outside [{self.min:g}, {self.max:g}]")
        low, high = self.driver_range
        if not NARROWEST <= abs(high - low) < inf:
            raise ConfigError(
                f"joint '{self.name}': driver.min and driver.max must be two different numbers, what the driver says "
                f"at {self.min:g} and at {self.max:g}, at least {NARROWEST:g} apart; got {low:g} and {high:g}"
            )

    def _check_kind(self) -> None:
        """Raise ConfigError where a key is missing, or is not of a joint of this kind."""
        needed = ("acceleration", "jerk") if self.rate else ("velocity", "acceleration", "jerk")
        for key in needed:
            if getattr(self, key) == 0:
                raise ConfigError(f"key '{key}' is missing, or 0 (joint '{self.name}')")
        if not self.rate:
            return
        if self.gripper:
            raise ConfigError(f"joint '{self.name}': a gripper is no rate: take gripper or rate out")
        if self.velocity:
            raise ConfigError(f"joint '{self.name}': min and max bound the velocity of a rate: take velocity out")
        if self.home or not self.min <= 0 <= self.max:
            raise ConfigError(
                f"joint '{self.name}': a rate rests at 0: min {self.min:g} to max {self.max:g} must hold 0, "
                "and home is left out"
            )

    @property
    def kind(self) -> Plausible:
        """What no joint of its kind leaves."""
        if self.rate:
            return ROLLING if self.prismatic else SPINNING
        return TURNING if self.turns else SLIDING if self.prismatic else GRIPPER

    @property
    def turns(self) -> bool:
        """Whether its value is an angle."""
        return not (self.gripper or self.prismatic or self.rate)

    @property
    def unit(self) -> str:
        """Of its value."""
        return ("m" if self.gripper or self.prismatic else "rad") + ("/s" if self.rate else "")

    @property
    def slopes(self) -> tuple[float, float, float]:
        """Limits of the first three derivatives of its value; nothing bounds the third of a rate."""
        if self.rate:
            return self.acceleration, self.jerk, inf
        return self.velocity, self.acceleration, self.jerk

    @property
    def driver_range(self) -> tuple[float, float]:
        """What the driver says where we say `min` and `max`, in its own unit."""
        low, high = self.driver.min, self.driver.max
        return self.min if low is None else low, self.max if high is None else high


class DriverJoints(NamedTuple):
    """Joints as a driver or a leader tells of them: position = scale * what it says + offset."""

    names: tuple[str, ...]
    """(n,) that it uses."""
    scale: FloatArray
    """(n,)."""
    offset: FloatArray
    """(n,) [rad], grippers [m]."""

    def ours(self, said: ArrayLike) -> FloatArray:
        """Return positions (..., n) that the driver says in our units."""
        return self.scale * np.asarray(said, dtype=np.float64) + self.offset

    def positions(self, ours: FloatArray) -> FloatArray:
        """Return positions (..., n) as the driver says them."""
        return (ours - self.offset) / self.scale

    def velocities(self, ours: FloatArray) -> FloatArray:
        """Return velocities (..., n) as the driver says them."""
        return ours / self.scale
