"""Plays a bag to the live nodes at real time, with /clock: only what drivers publish, never a command."""

import threading
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from smp_bringup.bag.aligned import camera_topics, leader_topics, observation_topics
from smp_bringup.bag.messages import CAMERA_INFO, deserialized
from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import ConfigError, one_line
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import LeanNode, run_node, steady_ns
from smp_bringup.nodes.camera_messages import camera_msg, camera_type
from smp_bringup.nodes.messages import COMMAND_TYPES, state_type, status_msg, status_values, time_msg, type_name
from smp_bringup.nodes.params import ReplayParams, declare
from smp_bringup.robot import load_robot
from smp_bringup.safety.modes import Mode, next_request
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import seconds
from smp_bringup.wire import frame

_CLOCK_NS = 10_000_000
_START_S = 60.0
_ASK_NS = 50_000_000
_SETTLE_TICKS = 10
_END_S = 1.0
"""The player stays so long after the end, for what is still on its way."""


class ReplayNode(LeanNode):
    """Publishes cameras, states and leaders of a bag when their log time comes; ends after the bag."""

    def __init__(self) -> None:
        super().__init__("replay")
        params = declare(self, ReplayParams)
        if self.get_namespace() != "/":
            raise ConfigError("replay: a bag names topics as in the root namespace: start its graph there")
        if not params.bag:
            raise ConfigError("replay: name the bag to play with the parameter bag")
        self._bag, self._rate = open_bag(Path(params.bag)), params.rate
        self._bag.verify()
        robot = load_robot(params.robot) if params.robot else self._bag.robot()
        self._cameras = camera_topics(self._bag, robot)
        leaders = {t: kind for t, kind in leader_topics(robot).items() if t in self._bag.types}
        self._topics = {**observation_topics(self._bag, robot), **leaders}
        self._bag.require(self._topics)
        self._topics |= {camera.info_topic: CAMERA_INFO for camera in robot.cameras}  # where the bag has it
        self._needed = [c.topic for c in robot.cameras] + [a.state_topic for a in robot.arms]
        self._states = {arm.state_topic: state_type(arm) for arm in robot.arms}
        self._clock = self.create_publisher(Clock, "/clock", 10)
        self._state = self.create_publisher(DiagnosticArray, "replay/state", qos.STATE)
        self._publishers_by_topic = {topic: self._publisher_of(topic, kind) for topic, kind in self._topics.items()}
        self._mode: Mode | None = None
        self._spoken = False
        self.create_subscription(JointTrajectory, "policy/chunk", self._on_chunk, qos.LATEST)
        for joints in robot.command_topics:  # stands for the drivers, without which the command node is not armed
            kind = COMMAND_TYPES[joints.arms[0].command_interface]
            self.create_subscription(kind, f"/replay{joints.topic}", lambda _: None, qos.LATEST)
        self.create_subscription(DiagnosticArray, "command/state", self._on_command_state, qos.STATE)
        requests = ("reset", "arm", "use_policy")
        self._requests = {name: self.create_client(Trigger, f"command/{name}") for name in requests}
        self._stop = threading.Event()
        self._over = self.create_guard_condition(self._end)
        self._worker = threading.Thread(target=self._play, name="player", daemon=True)
        self._worker.start()

    def destroy_node(self) -> None:
        """Stop playing, then the node."""
        self._stop.set()
        self._worker.join()
        super().destroy_node()

    def _end(self) -> None:
        """End the node from its executor: the player cannot, who is joined when the node is destroyed."""
        raise ExternalShutdownException

    def _play(self) -> None:
        self._say("waiting for sync and policy")
        waited = 0.0
        while not self._heard() and not self._stop.wait(0.1):
            waited += 0.1
            if waited > _START_S:
                self.get_logger().error(f"nobody listens to {', '.join(self._needed)} and /observation/joint_states")
                self._over.trigger()
                return
        start_log = start = asked = clock = 0
        for topic, log_ns, cdr in self._bag.raw_messages(set(self._topics)):
            if not start:
                self._set_clocks(log_ns)
                self._say("playing")
                start, start_log, clock = steady_ns(), log_ns, log_ns
            while clock < log_ns and not self._stop.is_set():
                clock = min(clock + _CLOCK_NS, log_ns)
                due = start + round((clock - start_log) / self._rate)
                self._stop.wait(max(0.0, seconds(due - steady_ns())))
                self._clock.publish(Clock(clock=time_msg(clock)))
            if self._stop.is_set():
                return
            if log_ns - asked > _ASK_NS:
                asked = log_ns
                self._drive()
            self._send(topic, cdr)
        self._say("finished")
        self._stop.wait(_END_S)
        self._over.trigger()

    def _publisher_of(self, topic: str, kind: str) -> Publisher:
        """Return what publishes a topic of the bag as the driver did; images as the robot file has them."""
        if topic in self._cameras:
            camera = self._cameras[topic]
            return self.create_publisher(camera_type(camera), camera.topic, qos.DRIVER)
        joints = self._states.get(topic, JointState)
        return self.create_publisher(CameraInfo if kind == CAMERA_INFO else joints, topic, qos.DRIVER)

    def _heard(self) -> bool:
        """Return whether sync hears every driver topic and the policy hears sync."""
        needed = [p for t, p in self._publishers_by_topic.items() if t in self._cameras or p.topic_name in self._needed]
        matched = all(publisher.get_subscription_count() > 0 for publisher in needed)
        wanted = {publisher.topic_name: "sync" for publisher in needed} | {"observation/joint_states": "policy"}
        return matched and all(self._listens(node, topic) for topic, node in wanted.items())

    def _listens(self, node: str, topic: str) -> bool:
        """Return whether a node subscribes to a topic; others may look on, too."""
        return any(info.node_name == node for info in self.get_subscriptions_info_by_topic(topic))

    def _set_clocks(self, log_ns: int) -> None:
        """Tell every node the time before the first message, which would be one from the future otherwise."""
        for _ in range(_SETTLE_TICKS):
            self._clock.publish(Clock(clock=time_msg(log_ns)))
            self._stop.wait(0.05)

    def _drive(self) -> None:
        """Bring the command node to follow the policy; in a replay its commands lead nowhere."""
        if self._mode is None or not self._spoken:
            return
        request = next_request(self._mode, Mode.POLICY)
        if request and self._requests[request].service_is_ready():
            self._requests[request].call_async(Trigger.Request())

    def _send(self, topic: str, cdr: bytes) -> None:
        publisher, kind = self._publishers_by_topic[topic], self._topics[topic]
        if kind == type_name(publisher.msg_type):
            publisher.publish(bytes(cdr))
            return
        try:
            shown = frame(deserialized(cdr, kind))
        except Refusal as refusal:
            self.get_logger().error(f"{topic}: refused: {one_line(refusal)}", throttle_duration_sec=1.0)
            return
        publisher.publish(camera_msg(self._cameras[topic], shown.stamp_ns, shown.image))

    def _on_chunk(self, message: JointTrajectory) -> None:
        self._spoken = True

    def _on_command_state(self, message: DiagnosticArray) -> None:
        self._mode = Mode(status_values(message)["mode"])

    def _say(self, state: str) -> None:
        self.get_logger().info(state)
        self._state.publish(status_msg(0, "replay", {"state": state, "bag": str(self._bag.path)}))


def main() -> None:
    """Run the node."""
    run_node(ReplayNode)


if __name__ == "__main__":
    main()
