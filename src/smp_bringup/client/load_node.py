"""Drivers of a robot under load, for `smp bench graph`: noisy frames and obedient joints, from `/load/run` on.

The cameras are not synchronised: each exposes a third of a period after the one before.
"""

import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from smp_bringup.camera import Camera
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Diagnostics, LeanNode, now_ns, run_node
from smp_bringup.nodes.messages import COMMAND_TYPES, ArmCommand, command_position, measured_msg, state_type, time_msg
from smp_bringup.nodes.params import declare, robot_parameter
from smp_bringup.robot import JointTopic, load_robot

_FRAMES = 8
"""Different frames per camera, sent in turn: making noise for every one would be the load."""


@dataclass(frozen=True)
class LoadParams:
    """Stand-ins for the drivers of a robot."""

    robot: str = robot_parameter()


class LoadNode(LeanNode):
    """Publishes what the robot file promises, at its rates."""

    def __init__(self) -> None:
        super().__init__("load")
        self._robot = load_robot(declare(self, LoadParams).robot)
        self._running = False
        self.published: dict[str, int] = {}
        rng, steady = np.random.default_rng(0), Clock(clock_type=ClockType.STEADY_TIME)
        senders = []
        for camera in self._robot.cameras:
            publisher = self.create_publisher(Image, camera.topic, qos.DRIVER)
            size = camera.height * camera.width * 3
            frames = [array("B", rng.integers(0, 256, size, dtype=np.uint8).tobytes()) for _ in range(_FRAMES)]
            senders.append((1 / camera.rate_hz, self._camera_sender(camera, publisher, frames)))
        for period_s, send in senders:
            self.create_timer(period_s, send, clock=steady)
            time.sleep(period_s / 3)  # a timer's phase is that of its creation
        self._pose = np.array(self._robot.joint_array("home"))
        for joints in self._robot.state_topics:
            publisher = self.create_publisher(state_type(joints.arms[0]), joints.topic, qos.DRIVER)
            self._report(joints, publisher, steady)
        for joints in self._robot.command_topics:
            kind = COMMAND_TYPES[joints.arms[0].command_interface]
            self.create_subscription(kind, joints.topic, partial(self._obey, joints), qos.LATEST)
        self.create_service(SetBool, "load/run", self._on_run)
        self._diagnostics = Diagnostics(self, lambda: {f"published/{name}": n for name, n in self.published.items()})

    def _camera_sender(self, camera: Camera, publisher: Publisher, frames: list[array]) -> Callable[[], None]:
        def send() -> None:
            if not self._running:
                return
            count = self.published.get(camera.name, 0)
            header = Header(stamp=time_msg(now_ns(self)), frame_id=camera.name)
            publisher.publish(
                Image(
                    header=header,
                    height=camera.height,
                    width=camera.width,
                    encoding="rgb8",
                    step=camera.width * 3,
                    data=frames[count % _FRAMES],
                )
            )
            self.published[camera.name] = count + 1

        return send

    def _obey(self, joints: JointTopic, message: ArmCommand) -> None:
        self._pose[joints.places] = command_position(message, joints)

    def _report(self, joints: JointTopic, publisher: Publisher, steady: Clock) -> None:
        def send() -> None:
            if self._running:
                position = joints.positions(self._pose)
                publisher.publish(measured_msg(joints, now_ns(self), position))
                for arm in joints.arms:
                    self.published[arm.name] = self.published.get(arm.name, 0) + 1

        self.create_timer(1 / self._robot.state_rate_hz, send, clock=steady)

    def _on_run(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._running = request.data
        response.success, response.message = True, "running" if request.data else "stopped"
        return response


def main() -> None:
    """Run the node."""
    run_node(LoadNode)


if __name__ == "__main__":
    main()
