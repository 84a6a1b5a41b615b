"""An operator's hand, whose velocity or pose the tip of an arm takes over; where it is not followed, the arm rests."""

from collections.abc import Mapping, Sequence

import numpy as np

from smp_bringup.arm import Arm
from smp_bringup.description.hand import Hand
from smp_bringup.description.pose import Pose, along, between, pose_of
from smp_bringup.leader import Leader
from smp_bringup.sync.checks import Refusal
from smp_bringup.sync.stamps import StampOrder
from smp_bringup.types import FloatArray, nanoseconds, seconds

STALE_NS = nanoseconds(0.1)
"""After so long a silence the hand rests, and a pose counts from where it is heard again."""
_SHORTEST_S = 0.005
"""No velocity is asked for a shorter time: messages come in bursts."""
_CATCH_UP_S = 0.1
"""Of a velocity: what the hand strayed from its path is made up for in about so long ..."""
_STRAYED_M, _STRAYED_RAD = 0.01, 0.1
"""... but it is not led on farther than this from where it can be."""
_FOLLOW_S = 0.05
"""Of a pose: the hand is so long behind, or two periods of the stream."""
_JUMP_M, _JUMP_M_S = 0.1, 3.0
"""A pose that moves farther at once, and faster, was not moved by a hand: the tracking jumped."""
_JUMP_RAD, _JUMP_RAD_S = 0.5, 12.0
_LEAD = 0.2
"""The setpoint is not led farther from the measured joints [rad]; grippers: not farther than they open."""
_GRIP = 0.5
"""Share of the gripper's speed limit at which buttons move it."""
_LARGEST = 1e3
"""No position [m] and no velocity [m/s], [rad/s] of a hand is larger."""


class LeaderHand:
    """One operator's hand: its newest velocity or pose as joints of the arm (n,) and their speeds, see `stamp_ns`."""

    def __init__(self, arm: Arm, leader: Leader, hand: Hand) -> None:
        self._leader, self._hand, self._order = leader, hand, StampOrder()
        self._low, self._high = (np.array([getattr(joint, end) for joint in arm.joints]) for end in ("min", "max"))
        gripper = np.array([joint.gripper for joint in arm.joints])
        self._lead = np.where(gripper, np.inf, _LEAD)
        self._grip = gripper * _GRIP * np.array([joint.velocity for joint in arm.joints])
        self._pressed: Sequence[int] = ()
        self._measured: FloatArray | None = None
        self._followed = False
        self._target: Pose | None = None
        """Where the tip is led; None: where it is."""
        self._twist = np.zeros(6)
        self._anchor: tuple[Pose, Pose, FloatArray] | None = None
        """Of a pose: the operator's, the tip's, and the axes (3, 3) that it is told in, when it began to count."""
        self._last: Pose | None = None
        self._heard_ns = 0
        self.jumps = 0
        """How often a pose jumped."""
        self.stamp_ns = 0
        """When `position` was right."""
        self.position, self.velocity = np.zeros(len(arm.joints)), np.zeros(len(arm.joints))

    @property
    def spoken(self) -> bool:
        """Whether there is a setpoint."""
        return self.stamp_ns > 0

    def measured(self, position: FloatArray) -> None:
        """Take where the arm is (n,): it is led from there, and never far away. See `teleop.Whereabouts`."""
        self._measured = position

    def carried(self, told: Mapping[str, float]) -> None:
        """Take where joints of the whole robot are [rad], [m]: a torso may carry the arm."""
        if self._hand.carriers:
            self._hand.carried(told)

    def followed(self, followed: bool) -> None:
        """Take whether the teleoperation is followed; while it is not, or is held, the setpoint is where the arm is."""
        if followed != self._followed:
            self._followed = followed
            self._rest()

    def buttons(self, pressed: Sequence[int]) -> None:
        """Take the buttons, 1 where pressed; those that the message leaves out are not."""
        self._pressed = pressed

    def twist(self, stamp_ns: int, twist: FloatArray, frame: str, now_ns: int, steady_ns: int) -> bool:
        """Take a velocity of the hand, or return False if it is late.

        Args:
            stamp_ns: of its header.
            twist: (6,) linear [m/s], angular [rad/s].
            frame: of its header.
            now_ns: clock of the headers.
            steady_ns: clock of the watchdogs.

        Raises:
            Refusal: it is not finite, or in a frame that the description lacks, or the arm is not measured yet.
        """
        if not (np.abs(twist) <= _LARGEST).all():
            raise Refusal("nonfinite")
        axes = self._axes(frame)
        if not self._order.admits(stamp_ns):
            return False
        period_s = self._advance(now_ns, steady_ns)
        wanted = np.concatenate([axes @ twist[:3] * self._leader.scale, axes @ twist[3:]])
        if not (self._engaged and wanted.any()):
            self._target, self._twist = None, np.zeros(6)
            return True
        here, self._twist = self._hand.pose(self.position), self._limited(wanted)
        self._target = self._near(here)
        self._lead_to(self._twist + between(here, self._target) / _CATCH_UP_S, period_s)
        return True

    def pose(
        self, stamp_ns: int, pose: tuple[Sequence[float], Sequence[float]], frame: str, now_ns: int, steady_ns: int
    ) -> bool:
        """Take a pose of the hand, as `twist` does; it counts from where it was when it began to be followed.

        Args:
            stamp_ns: of its header.
            pose: position [m], and quaternion w, x, y, z.
            frame: of its header.
            now_ns: clock of the headers.
            steady_ns: clock of the watchdogs.

        Raises:
            Refusal: as of `twist`.
        """
        try:
            there = pose_of(*pose)
        except ValueError as error:
            raise Refusal(str(error)) from None
        if not (np.abs(there.position) <= _LARGEST).all():
            raise Refusal("nonfinite")
        axes = self._axes(frame)
        if not self._order.admits(stamp_ns):
            return False
        period_s = self._advance(now_ns, steady_ns)
        if self._last is not None and self._jumped(self._last, there, period_s):
            self.jumps += 1
            self._anchor = None
        self._last = there
        if not self._engaged:
            self._anchor = None
            return True
        here = self._hand.pose(self.position)
        if self._anchor is None:
            self._anchor = there, here, axes
        self._lead_to(between(here, self._moved(there)) / max(_FOLLOW_S, 2 * period_s), period_s)
        return True

    @property
    def _engaged(self) -> bool:
        """Whether the hand moves the arm."""
        clutch = self._leader.buttons.clutch if self._leader.buttons else -1
        return self._followed and (clutch < 0 or self._down(clutch))

    def _down(self, button: int) -> bool:
        return button < len(self._pressed) and bool(self._pressed[button])

    def _axes(self, frame: str) -> FloatArray:
        """Return the axes (3, 3) that a message is told in; raises Refusal where they are not known."""
        name = self._leader.frame or frame.lstrip("/")
        if name and name not in self._hand.links:
            raise Refusal(f"frame '{name}' is no link of the description: set frame of the leader in the robot file")
        if self._measured is None:
            raise Refusal("where the arm is is not known: nothing was heard on its state topic")
        return self._hand.axes(name, self._measured)

    def _advance(self, now_ns: int, steady_ns: int) -> float:
        """Bring the setpoint to now with the speeds that it had; return the period of the stream [s]."""
        assert self._measured is not None
        since_ns = steady_ns - self._heard_ns
        if since_ns > STALE_NS or not self._followed:
            self._rest()
        self.stamp_ns, self._heard_ns = now_ns, steady_ns
        period_s = seconds(min(since_ns, STALE_NS))
        if self._followed:
            ahead = self.position + self.velocity * period_s
            near = np.clip(ahead, self._measured - self._lead, self._measured + self._lead)
            low, high = np.minimum(self._low, self._measured), np.maximum(self._high, self._measured)
            self.position = np.clip(near, low, high)
            if self._target is not None:
                self._target = along(self._target, self._twist * period_s)
        self.velocity = self._gripping()
        return max(period_s, _SHORTEST_S)

    def _rest(self) -> None:
        """Begin again from where the arm is."""
        if self._measured is not None:
            self.position = self._measured
        self.velocity, self._twist = np.zeros_like(self.position), np.zeros(6)
        self._target = self._anchor = self._last = None

    def _gripping(self) -> FloatArray:
        """Return the speeds (n,) that the buttons give the gripper."""
        buttons = self._leader.buttons
        if buttons is None or not self._followed:
            return np.zeros_like(self.position)
        way = int(self._down(buttons.open)) - int(self._down(buttons.close))
        inside = (self.position < self._high) if way > 0 else (self.position > self._low)
        speeds: FloatArray = way * self._grip * inside
        return speeds

    def _lead_to(self, twist: FloatArray, period_s: float) -> None:
        """Let the joints give the tip this velocity (6,), or the part of it that is allowed."""
        self.velocity = self.velocity + self._hand.speeds(self.position, self._limited(twist), period_s)

    def _limited(self, twist: FloatArray) -> FloatArray:
        """Return a velocity (6,) no faster than the robot file allows."""
        parts = (self._leader.speed, twist[:3]), (self._leader.turn, twist[3:])
        slow = [min(1.0, most / max(float(np.linalg.norm(part)), 1e-9)) for most, part in parts]
        limited: FloatArray = twist * np.repeat(slow, 3)
        return limited

    def _near(self, here: Pose) -> Pose:
        """Return where the tip is led, no farther from where it is than it may stray."""
        if self._target is None:
            return here
        strayed = between(here, self._target)
        off, turned = np.linalg.norm(strayed[:3]) > _STRAYED_M, np.linalg.norm(strayed[3:]) > _STRAYED_RAD
        return Pose((here if off else self._target).position, (here if turned else self._target).rotation)

    def _moved(self, pose: Pose) -> Pose:
        """Return where the tip is to be when the operator is at `pose`."""
        assert self._anchor is not None
        theirs, tip, axes = self._anchor
        move = axes @ (pose.position - theirs.position) * self._leader.scale
        turn = axes @ pose.rotation @ theirs.rotation.T @ axes.T
        return Pose(tip.position + move, turn @ tip.rotation)

    @staticmethod
    def _jumped(before: Pose, after: Pose, period_s: float) -> bool:
        moved = between(before, after)
        far = np.linalg.norm(moved[:3]), np.linalg.norm(moved[3:])
        return bool(far[0] > _JUMP_M + _JUMP_M_S * period_s or far[1] > _JUMP_RAD + _JUMP_RAD_S * period_s)
