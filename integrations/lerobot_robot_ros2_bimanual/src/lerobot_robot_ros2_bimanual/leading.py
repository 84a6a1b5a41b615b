"""LeRobot in the place of the leader arms."""

import logging
import time

from lerobot_robot_ros2_bimanual.link import Link
from lerobot_robot_ros2_bimanual.voice import Voice
from smp_bringup.client.answers import GraphError
from smp_bringup.errors import one_line
from smp_bringup.safety.modes import Mode
from smp_bringup.types import FloatArray

_PAUSE_S = 0.5
"""Arms that LeRobot left alone for longer, as between two episodes, are taken over anew, from nearby only."""
_TRY_S = 0.2
"""A take-over that the command node refuses is tried for so long at each action."""
_LOG = logging.getLogger(__name__)


class Leading:
    """Takes the arms over with the first action, and says where they are to go."""

    def __init__(self, link: Link, position: FloatArray, wait_s: float) -> None:
        """Be heard by the teleop node, where the arms are: at `position` (J,).

        Raises:
            GraphError: the command node is latched, no teleop node hears us within `wait_s` [s], or it hears another.
        """
        self._link, self._wait_s = link, wait_s
        self._asked, self._follows, self._said_s, self._until_s = False, False, 0.0, 0.0
        link.wait(lambda: bool(link.client.command_state), wait_s, lambda: "the command node")
        link.require_unlatched()
        self._voice = Voice(link, position)
        try:
            link.wait(self._is_heard, wait_s, self._unheard)
        except BaseException:
            self._voice.close()
            raise

    def to(self, position: FloatArray) -> None:
        """Lead the arms to `position` (J,); arms that do not follow yet are taken over once that is near them.

        Raises:
            GraphError: they do not follow any longer, or not within the time to wait.
        """
        self._link.drain()
        now_s = time.monotonic()
        if self._follows:
            self._require_following()
            if now_s - self._said_s > _PAUSE_S:
                self._hold()
        self._voice.say(position)
        if not self._follows:
            self._take_over(now_s)
        self._said_s = time.monotonic()

    def end(self) -> None:
        """Have the arms rest where they are, armed; then fall silent."""
        try:
            self._link.drain()
            if self._asked and Mode(self._link.client.command_state["mode"]) in (Mode.HOLD, Mode.TELEOP):
                self._hold()  # a take-over that Ctrl-C interrupted may be said only after this
            elif self._link.client.latched:
                _LOG.warning("the arms are stopped: %s (smp status, smp why)", self._link.state)
        except GraphError as error:
            _LOG.warning("the arms were not told to hold, and are held since nobody leads them: %s", one_line(error))
        finally:
            self._voice.close()

    def _hold(self) -> None:
        client = self._link.client
        client.trigger("command/hold", self._wait_s)
        client.wait(lambda: client.command_state["mode"] != Mode.TELEOP.value, self._wait_s, "the arms to be held")
        self._follows, self._until_s = False, 0.0

    def _require_following(self) -> None:
        if self._link.client.command_state["mode"] != Mode.TELEOP.value:
            raise GraphError(f"the arms do not follow LeRobot any longer: {self._link.state} (smp status, smp why)")

    def _take_over(self, now_s: float) -> None:
        self._asked = True
        self._until_s, client = self._until_s or now_s + self._wait_s, self._link.client
        try:
            client.follow(Mode.TELEOP.value, reset=False, timeout_s=_TRY_S)
        except GraphError as error:
            if client.latched:
                raise GraphError(f"the arms do not follow LeRobot: {self._link.state} (smp status, smp why)") from None
            why = one_line(client.refusal or error)
            if now_s > self._until_s:
                raise GraphError(f"waited {self._wait_s:g} s for the arms to follow LeRobot: {why}") from None
            _LOG.warning("the arms do not follow LeRobot yet: %s", why)
        else:
            self._follows = True

    def _is_heard(self) -> bool:
        told = self._link.told
        return told is not None and told.stamp_ns in self._voice.stamps

    def _unheard(self) -> str:
        link = self._link
        if not link.led:
            return f"the teleop node to hear LeRobot: {link.unled}"
        topics = ", ".join(joints.topic for joints in link.robot.leader_topics)
        return (
            f"the teleop node to hear LeRobot: somebody else leads the arms on {topics}; stop that (in simulation: "
            "smp up --operator none), or give --robot.lead=false"
        )
