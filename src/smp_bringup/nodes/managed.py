"""Managed nodes: configured (everything is checked and loaded), active (they speak and hear), and back."""

import traceback
from collections.abc import Callable, Iterable
from typing import Any

from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.time_source import CLOCK_TOPIC

from smp_bringup.errors import SmpError, one_line
from smp_bringup.nodes.base import LeanNode
from smp_bringup.nodes.stopping import loading

_OK, _NO, _WRONG = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)
_KINDS = ("publisher", "subscription", "client", "service", "timer")


class ManagedNode(LifecycleNodeMixin, LeanNode):
    """A node with the life cycle of ROS 2; it starts by itself, or waits for `ros2 lifecycle set`.

    Publishers, subscriptions, services and timers made since `configure` and `activate` are destroyed on the way back.
    """

    def __init__(self, name: str) -> None:
        LeanNode.__init__(self, name)
        LifecycleNodeMixin.__init__(self)
        self._before: dict[str, list[Any]] = {}
        """What there was before a phase that has begun."""
        self._failure: Exception | None = None
        self._starting = False
        self.autostart = True
        """Whether it begins by itself."""

    def configure(self) -> None:
        """Check and load everything; raises SmpError for what a user can mend."""
        raise NotImplementedError

    def activate(self) -> None:
        """Begin to hear and to speak."""
        raise NotImplementedError

    def why_not_deactivate(self) -> str:
        """Return why the node must stay active for now; nothing if it may rest."""
        return ""

    def deactivate(self) -> None:
        """Stop what `activate` started beside publishers, subscriptions, services and timers."""

    def let_go(self) -> None:
        """Give back what `configure` loaded beside those: processes, memory of a device."""

    def start(self) -> None:
        """Configure and activate, if the node is to begin by itself; raises what either raised."""
        if not self.autostart:
            self.get_logger().info("unconfigured: waiting for `ros2 lifecycle set`")
            return
        self._starting = True
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != _OK:
                raise self._failure or RuntimeError("the life cycle refused to begin")
        self._starting = False

    @property
    def active(self) -> bool:
        """Whether the node hears and speaks."""
        return bool(self._state_machine.current_state[1] == "active")

    def on_configure(self, _: LifecycleState) -> TransitionCallbackReturn:
        """As of LifecycleNode."""
        with loading():
            return self._make("configure", self.configure)

    def on_activate(self, _: LifecycleState) -> TransitionCallbackReturn:
        """As of LifecycleNode."""
        return self._make("activate", self.activate)

    def on_deactivate(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Refuse while the node must stay active: the request can be repeated."""
        if why := self.why_not_deactivate():
            self.get_logger().error(f"not deactivated: {one_line(why)}")
            return _NO
        self.deactivate()
        self._destroy("activate")
        return _OK

    def on_cleanup(self, _: LifecycleState) -> TransitionCallbackReturn:
        """As of LifecycleNode."""
        self._destroy("configure")
        return _OK

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As of LifecycleNode; a node that must stay active goes on until its process is ended."""
        if state.label == "active" and self.on_deactivate(state) != _OK:
            return _OK
        self._destroy("configure")
        return _OK

    def on_error(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured: the error was logged, and what was half made is gone."""
        self._destroy("activate")
        self._destroy("configure")
        return _OK

    def _make(self, phase: str, act: Callable[[], None]) -> TransitionCallbackReturn:
        self._before[phase] = [entity for _, entity in self._entities()]
        try:
            act()
        except Exception as error:  # rclpy would drop it
            self._failure = error
            self._destroy(phase)
            if not self._starting:  # else who started it says so
                text = "".join(traceback.format_exception(error))
                self.get_logger().error(one_line(error) if isinstance(error, SmpError) else text)
            return _NO if isinstance(error, SmpError) else _WRONG
        return _OK

    def _entities(self) -> Iterable[tuple[str, Any]]:
        """Return what the phases make; who hears the clock is rclpy's, which subscribes when `use_sim_time` is set."""
        every = [(kind, entity) for kind in _KINDS for entity in getattr(self, f"{kind}s")]
        return [(kind, entity) for kind, entity in every if kind != "subscription" or entity.topic_name != CLOCK_TOPIC]

    def _destroy(self, phase: str) -> None:
        """Destroy what was made since a phase began, also what came in the place of something else.

        What `configure` loaded is let go with it, also where a later part of it failed.
        """
        before = self._before.pop(phase, None)
        if before is None:
            return
        kept = {id(entity) for entity in before}
        for kind, entity in self._entities():
            if id(entity) not in kept:
                getattr(self, f"destroy_{kind}")(entity)
        if phase == "configure":
            self.let_go()
