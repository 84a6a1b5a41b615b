"""What drives a base: a twist of a joystick or a keyboard, with a watchdog that knows who has let go."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from smp_bringup.arm import Arm
from smp_bringup.sync.checks import JointOrder
from smp_bringup.sync.stamps import StampOrder


class LeaderBase:
    """The newest rates that a base is to have, without a leader none.

    Stock joysticks say nothing while nobody presses: whoever said 0 last may be silent, and the base rests. Its part
    then goes on with what its driver measures. Whoever wanted it to move and falls silent is seen to by the command
    core, whose part of the base grows old. Stamps of the part are times of arrival, since it has two origins.
    """

    def __init__(self, arm: Arm) -> None:
        self._order, self._stamps = JointOrder(arm.driver.names), StampOrder()
        self.stamp_ns = 0
        self.position = np.zeros(len(arm.joints))
        """(n,) wanted [m/s], [rad/s]."""
        self.velocity = np.zeros(len(arm.joints))
        """(n,) what a twist does not say."""

    @property
    def spoken(self) -> bool:
        """Whether its driver or its leader has been heard."""
        return self.stamp_ns > 0

    def twist(self, stamp_ns: int, names: Sequence[str], rates: ArrayLike, now_ns: int) -> bool:
        """Take what the leader wants, or return False if it is late.

        Args:
            stamp_ns: of its message; 0 where it has none.
            names: of the parts of a twist.
            rates: (len(names),) of them.
            now_ns: when it arrived.

        Raises:
            Refusal: a rate is not finite.
        """
        wanted, _ = self._order.map(names, rates, [])
        if stamp_ns and not self._stamps.admits(stamp_ns):
            return False
        self.position, self.stamp_ns = wanted, now_ns
        return True

    def measured(self, now_ns: int) -> bool:
        """Take that the driver was heard; return whether that is news: while nothing is wanted, the base rests."""
        if self.position.any():
            return False
        self.stamp_ns = now_ns
        return True
