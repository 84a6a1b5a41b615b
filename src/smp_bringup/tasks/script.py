"""Scripted motion of both hands: waypoints with minimum-jerk timing, turned into joint targets by IK."""

from dataclasses import dataclass

import numpy as np

from smp_bringup.errors import UnreachableError
from smp_bringup.kinematics import ArmKinematics
from smp_bringup.simulation import Meeting
from smp_bringup.types import FloatArray

_KNOT_S = 0.02
"""Spacing of the IK solutions; joint targets are linear between them."""

_MAX_ERROR_M = 8e-3
"""A waypoint must be reached so closely; on the way, a straight wrist is worth more than the exact path."""

_MAX_RATE_RAD_S = 2.5

_SMOOTHING_S = 0.2
"""Width of the window that rounds off the corners the rate limit leaves; keeps accelerations inside the arm's."""

OUTWARD = {"left": 1.0, "right": -1.0}
"""In which direction along x the hand of each side reaches: both stand across the table, or beside each other."""


@dataclass(frozen=True)
class _Segment:
    start_s: float
    end_s: float
    position: FloatArray
    rotation: FloatArray
    grip: float


class Hand:
    """The timeline of one hand; each call appends a segment that starts where the last one ended."""

    def __init__(self, kinematics: ArmKinematics, grip: float, outward: float, meeting: Meeting) -> None:
        """Begin at home, open by `grip` [m]."""
        self.kinematics, self.meeting = kinematics, meeting
        self.outward = outward
        """+1 where the arm reaches along +x, -1 along -x."""
        self.now_s = 0.0
        position, rotation = kinematics.forward(kinematics.home)
        self._half_turn = -1.0 if rotation[1, 1] * outward < 0 else 1.0
        self._start = _Segment(0.0, 0.0, position, rotation, grip)
        self._segments: list[_Segment] = []

    @property
    def last(self) -> _Segment:
        """Where the hand is at the end of its timeline."""
        return self._segments[-1] if self._segments else self._start

    def move(
        self,
        duration_s: float,
        position: FloatArray | list[float] | None = None,
        rotation: FloatArray | None = None,
        grip: float | None = None,
    ) -> "Hand":
        """Go to a pose [m] and an opening of the fingers [m] in `duration_s`; what is left out stays."""
        last = self.last
        self._segments.append(
            _Segment(
                self.now_s,
                self.now_s + duration_s,
                last.position if position is None else np.asarray(position, dtype=np.float64),
                last.rotation if rotation is None else rotation,
                last.grip if grip is None else grip,
            )
        )
        self.now_s += duration_s
        return self

    def movement(self, time_s: float) -> int:
        """Return which segment it is in at `time_s`, counted from 0; after the end, the last."""
        return min(sum(time_s >= segment.end_s for segment in self._segments), len(self._segments) - 1)

    def until(self, time_s: float) -> "Hand":
        """Stay until `time_s` (nothing if it has passed)."""
        return self.move(time_s - self.now_s) if time_s > self.now_s + 1e-9 else self

    def pointing(self, pitch: float, yaw: float = 0.0, roll: float = 0.0) -> FloatArray:
        """Return the rotation (3, 3) of a hand that looks outward and `pitch` [rad] down.

        `yaw` turns it about the vertical, `roll` about its own axis (0: fingers close sideways).
        """
        forward = np.array([self.outward, 0.0, 0.0])
        side = np.array([0.0, self.outward * self._half_turn, 0.0])  # fingers hold alike either way round
        x = np.cos(pitch) * forward - np.sin(pitch) * np.array([0.0, 0.0, 1.0])
        z = np.cross(x, side)
        y = np.cos(roll) * side + np.sin(roll) * z
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        return turn @ np.stack([x, y, np.cross(x, y)], axis=1)

    def sample(self, times: FloatArray) -> FloatArray:
        """Return joint targets (len(times), n + 1), the opening of the fingers [m] last.

        Raises:
            UnreachableError: a waypoint cannot be reached; the script is wrong for this layout.
        """
        rows, q = [], self.kinematics.home
        for t in times:
            position, rotation, grip = self._pose(float(t))
            solution, error = self.kinematics.solve(position, rotation, q)
            q = q + np.clip(solution - q, -_MAX_RATE_RAD_S * _KNOT_S, _MAX_RATE_RAD_S * _KNOT_S)
            at_waypoint = any(abs(t - segment.end_s) < _KNOT_S / 2 for segment in self._segments)
            if at_waypoint and not error < _MAX_ERROR_M:
                raise UnreachableError(
                    f"pose {position.round(3)} is out of reach at {t:.2f} s ({error * 1e3:.0f} mm away)"
                )
            rows.append([*q, grip])
        return np.array(rows)

    def _pose(self, t: float) -> tuple[FloatArray, FloatArray, float]:
        before = self._start
        for segment in self._segments:
            if t < segment.end_s:
                share = _minimum_jerk((t - segment.start_s) / (segment.end_s - segment.start_s))
                return (
                    before.position + share * (segment.position - before.position),
                    _between(before.rotation, segment.rotation, share),
                    before.grip + share * (segment.grip - before.grip),
                )
            before = segment
        return before.position, before.rotation, before.grip


class Script:
    """Both hands and the joint-target trajectory that follows from them."""

    def __init__(self, hands: dict[str, Hand], way: int = 0, stagger_s: float = 0.0) -> None:
        """Begin with both hands at home.

        Args:
            hands: by arm.
            way: how to solve the task where there are two ways (0 or 1).
            stagger_s: the leading hand begins so much earlier where both hands work alike.
        """
        self.hands, self.way = hands, way
        self._stagger_s = stagger_s

    def ordered(self) -> tuple[Hand, Hand]:
        """Return the hand that leads in this way of solving the task, and the one that follows."""
        first, second = self.hands.values()
        return (first, second) if self.way == 0 else (second, first)

    def stagger(self) -> None:
        """Let the following hand begin a little later."""
        self.ordered()[1].until(self._stagger_s)

    def meet(self) -> None:
        """Let the hand that is ahead wait for the other."""
        end = max(hand.now_s for hand in self.hands.values())
        for hand in self.hands.values():
            hand.until(end)

    def trajectory(self) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return times (N,) [s] and by hand joint targets (N, n + 1), the opening of the fingers [m] last."""
        end = max(hand.now_s for hand in self.hands.values())
        times = np.arange(0.0, end + _SMOOTHING_S, _KNOT_S)
        return times, {side: _smooth(hand.sample(times)) for side, hand in self.hands.items()}


def _smooth(rows: FloatArray) -> FloatArray:
    """Return rows (N, J) averaged over a raised-cosine window, the ends held."""
    half = round(_SMOOTHING_S / _KNOT_S / 2)
    window = np.hanning(2 * half + 3)[1:-1]
    padded = np.pad(rows, ((half, half), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, window / window.sum(), "valid") for column in padded.T], axis=1)


def _minimum_jerk(share: float) -> float:
    """Return the travelled share of a minimum-jerk motion (Flash and Hogan, 1985)."""
    return float(share**3 * (10 - 15 * share + 6 * share**2))


def _between(first: FloatArray, second: FloatArray, share: float) -> FloatArray:
    """Return the rotation (3, 3) at `share` of the shortest turn from `first` to `second`."""
    turn = first.T @ second
    angle = np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))
    if angle < 1e-9:
        return first
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    axis /= 2 * np.sin(angle)
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    partial = angle * share
    return first @ (np.eye(3) + np.sin(partial) * k + (1 - np.cos(partial)) * (k @ k))
