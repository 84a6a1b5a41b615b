"""Messages of a bag or a graph, one at a time, as what Rerun shows; the same code for both."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import rerun as rr
from rerun.urdf import UrdfTree

from smp_bringup import wire
from smp_bringup.camera import Camera
from smp_bringup.description.frames import Frames
from smp_bringup.description.model import Description
from smp_bringup.page.pictures import colour
from smp_bringup.robot import JointTopic, Robot
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import Severity, nanoseconds
from smp_bringup.view.blueprint import ARMS, EVENTS, GATE, MODE, blueprint, camera_entity, joints_entity
from smp_bringup.view.ribbon import Ribbons

CHUNK, GATES, STATE = "/policy/chunk", "/policy/gate", "/command/state"
_TIMELINE = "time"
_POSES_NS = nanoseconds(1 / 30)
"""Between two poses of the arms: the eye sees no more."""
_JPEG = 80
_RIBBON_M = 0.006
_LEVELS = {Severity.PASS: "INFO", Severity.WARN: "WARN", Severity.LIMIT: "INFO", Severity.REFUSE: "WARN"}


class Scene:
    """Logs into a recording; topics are named as in the root namespace, as in bags."""

    def __init__(self, recording: rr.RecordingStream, robot: Robot, description: str) -> None:
        """Log what does not change.

        Args:
            recording: that it goes to.
            robot: in the root namespace.
            description: URDF or MJCF of the robot, or empty: then no arms are drawn.

        Raises:
            ConfigError: the description cannot be read.
        """
        self._recording, self._robot = recording, robot
        self._frames: Frames | None = None
        self._ribbons: Ribbons | None = None
        self._posed_ns: dict[str, int] = {}
        self._said = ("", "", "")
        self._experts = 0
        self.refused = 0
        """Messages that could not be shown."""
        recording.send_blueprint(blueprint(robot, bool(description)))
        if description:
            self._describe(Description(description))
        for arm in robot.arms:
            self._name_joints(arm.name, [joint.name for joint in arm.joints])
        self._takers = self._all_takers()

    @property
    def topics(self) -> frozenset[str]:
        """What is shown."""
        return frozenset(self._takers)

    def take(self, topic: str, at_ns: int, message: Any) -> None:
        """Show a message of one of `topics` that was heard at `at_ns` [ns]; one that cannot be read is counted."""
        self._recording.set_time(_TIMELINE, timestamp=np.datetime64(at_ns, "ns"))
        try:
            self._takers[topic](at_ns, message)
        except (Refusal, LookupError, ValueError, TypeError):
            self.refused += 1

    def _all_takers(self) -> Mapping[str, Callable[[int, Any], None]]:
        robot = self._robot
        takers: dict[str, Callable[[int, Any], None]] = {c.topic: partial(self._picture, c) for c in robot.cameras}
        takers |= {joints.topic: partial(self._measured, joints) for joints in robot.state_topics}
        takers |= {joints.topic: partial(self._commanded, joints) for joints in robot.command_topics}
        return takers | {CHUNK: self._chunk, GATES: self._gate, STATE: self._state}

    def _describe(self, description: Description) -> None:
        self._frames, self._ribbons = Frames(description), Ribbons(self._robot, description)
        for entity in (ARMS, *(ribbon for arm in self._robot.arms for ribbon in _ribbon(arm.name))):
            self._recording.log(entity, rr.CoordinateFrame(frame=description.links[0]), static=True)
        if description.urdf:
            UrdfTree.from_file_path(description.path, ARMS).log_urdf_to_recording(self._recording)  # still links too
        else:
            self._move(self._frames.still(), static=True)

    def _name_joints(self, arm: str, names: list[str]) -> None:
        colours = [_faded(colour(k)) for k in range(len(names))]
        for said, width in (("measured", 2.0), ("commanded", 0.8)):
            style = rr.SeriesLines(names=[f"{name} {said}" for name in names], colors=colours, widths=width)
            self._recording.log(f"{joints_entity(arm)}/{said}", style, static=True)

    def _picture(self, camera: Camera, at_ns: int, message: Any) -> None:
        image = wire.frame(message, camera).image
        shown = rr.DepthImage(image[..., 0], meter=1000.0) if camera.depth else rr.Image(image).compress(_JPEG)
        self._recording.log(camera_entity(camera.name), shown)

    def _measured(self, joints: JointTopic, at_ns: int, message: Any) -> None:
        names, position, _ = wire.told(message)
        told = dict(zip(names, map(float, position), strict=False))
        self._plot(joints, "measured", told)
        if self._frames is not None and at_ns - self._posed_ns.get(joints.topic, 0) >= _POSES_NS:
            self._posed_ns[joints.topic] = at_ns
            self._move(self._frames.move(told, {arm.prefix for arm in joints.arms}))

    def _commanded(self, joints: JointTopic, at_ns: int, message: Any) -> None:
        self._plot(joints, "commanded", _told(joints, message))

    def _plot(self, joints: JointTopic, said: str, told: Mapping[str, float]) -> None:
        for arm, driver, _ in joints.parts():
            values = [told.get(name, np.nan) for name in driver.names]
            self._recording.log(f"{joints_entity(arm.name)}/{said}", rr.Scalars(values))

    def _move(self, transforms: list[Any], static: bool = False) -> None:
        for one in transforms:
            w, x, y, z = one.pose.quaternion.tolist()
            pose = rr.Transform3D(
                translation=one.pose.position,
                quaternion=rr.Quaternion(xyzw=[x, y, z, w]),
                parent_frame=one.parent,
                child_frame=one.child,
            )
            self._recording.log(f"{ARMS}/links/{one.child}", pose, static=static)

    def _chunk(self, at_ns: int, message: Any) -> None:
        if self._ribbons is None:
            return
        positions = [point.positions for point in message.points]
        for k, (arm, way) in enumerate(self._ribbons.of(message.joint_names, positions).items()):
            fade = np.linspace(255, 60, len(way)).astype(int)
            line = rr.LineStrips3D([way], colors=[_faded(colour(k))], radii=_RIBBON_M / 2)
            dots = rr.Points3D(way, colors=[_faded(colour(k), int(alpha)) for alpha in fade], radii=_RIBBON_M)
            for entity, drawn in zip(_ribbon(arm), (line, dots), strict=True):
                self._recording.log(entity, drawn)

    def _gate(self, at_ns: int, message: Any) -> None:
        weight = [v for name, v in zip(message.name, message.position, strict=True) if name.startswith("weight/")]
        if len(weight) != self._experts:
            self._experts = len(weight)
            names, colours = zip(*((f"expert {k}", _faded(colour(k))) for k in range(len(weight))), strict=True)
            self._recording.log(f"{GATE}/weight", rr.SeriesLines(names=names, colors=colours), static=True)
        self._recording.log(f"{GATE}/weight", rr.Scalars(weight))

    def _state(self, at_ns: int, message: Any) -> None:
        told = {pair.key: pair.value for pair in message.status[0].values}
        said = told["mode"], told["check"], told["reason"]
        if said == self._said:
            return
        if said[0] != self._said[0]:
            self._recording.log(MODE, rr.StateChange(state=said[0]))
        self._said = said
        severity = Severity[told["severity"]]
        text = f"{said[0]}: {said[1]} {said[2]}".rstrip(" :")
        self._recording.log(EVENTS, rr.TextLog(text, level=_LEVELS.get(severity, "ERROR")))


def _ribbon(arm: str) -> tuple[str, str]:
    """Return where the line of an arm's ribbon is logged, and where its steps are."""
    return f"{ARMS}/chunk/{arm}", f"{ARMS}/chunk/{arm}/steps"


def _told(joints: JointTopic, message: Any) -> dict[str, float]:
    """Return what a command tells each joint, whichever of our three forms it has."""
    if hasattr(message, "points"):
        last = message.points[-1].positions if len(message.points) else ()
        return dict(zip(message.joint_names, map(float, last), strict=False))
    if hasattr(message, "data"):
        return dict(zip(joints.names, map(float, message.data), strict=False))
    names, values, _ = wire.told(message)
    return dict(zip(names, map(float, values), strict=False))


def _faded(colour_hex: str, alpha: int = 255) -> list[int]:
    """Return red, green, blue and opacity."""
    return [*bytes.fromhex(colour_hex[1:]), alpha]
