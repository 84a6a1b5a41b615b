"""Observations in, action chunks and gate reports out; inference runs beside the executor."""

import threading
from functools import partial
from time import perf_counter

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from smp_bringup import wire
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Health, now_ns, run_node
from smp_bringup.nodes.mailbox import Mailbox
from smp_bringup.nodes.messages import chunk_msg, gate_msg
from smp_bringup.nodes.params import PolicyParams, declare
from smp_bringup.observation.assembler import Assembler
from smp_bringup.observation.observer import Observer
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.robot import Robot, load_robot
from smp_bringup.sync.checks import Refusal
from smp_bringup.types import AlignedSet, Observation


class PolicyNode(Node):
    """Wires a policy to topics; observations that arrive during inference replace each other."""

    def __init__(self) -> None:
        super().__init__("policy")
        params = declare(self, PolicyParams)
        self._robot, self._seed = load_robot(params.robot), params.seed
        self._policy = build_policy(find_model(params.model), self._robot, params.device)
        self._policy.infer(_blank(self._robot, self._policy.config.observation_steps), self._seed)  # warm-up
        config = self._policy.config
        self._assembler = Assembler(config.cameras)
        self._observer = Observer(self._robot, config.observation_steps, config.replan_s)
        self._mailbox: Mailbox[Observation] = Mailbox()
        self._chunks = self.create_publisher(JointTrajectory, "/policy/chunk", qos.LATEST)
        self._gates = self.create_publisher(JointState, "/policy/gate", qos.OBSERVATION)
        for name in config.cameras:
            callback = partial(self._on_image, name)
            self.create_subscription(Image, f"/observation/{name}", callback, qos.OBSERVATION)
        self.create_subscription(JointState, "/observation/joint_states", self._on_joints, qos.OBSERVATION)
        self._made, self._overruns, self._last_ms = 0, 0, 0.0
        self._health = Health(self, self._report)
        self._worker = threading.Thread(target=self._work, name="inference", daemon=True)
        self._worker.start()
        self.get_logger().info(f"{config.kind} ready, {config.experts} experts")

    def destroy_node(self) -> None:
        """Stop the worker, then the node."""
        self._mailbox.close()
        self._worker.join(timeout=2.0)
        super().destroy_node()

    def _on_image(self, camera: str, message: Image) -> None:
        try:
            frame = wire.frame(message)
        except Refusal as refusal:
            self.get_logger().error(f"{camera}: refused: {refusal}", throttle_duration_sec=1.0)
            return
        self._take(self._assembler.push_image(camera, frame.stamp_ns, frame.image))

    def _on_joints(self, message: JointState) -> None:
        try:
            sample = wire.whole_robot(message, self._robot.joint_names)
        except Refusal as refusal:
            self.get_logger().error(f"joint states refused: {refusal}", throttle_duration_sec=1.0)
            return
        self._take(self._assembler.push_joints(sample))

    def _take(self, aligned: AlignedSet | None) -> None:
        observation = None if aligned is None else self._observer.push(aligned)
        if observation is not None:
            self._overruns += self._mailbox.put(observation)

    def _work(self) -> None:
        while (observation := self._mailbox.take()) is not None:
            start = perf_counter()
            chunk, gate = self._policy.infer(observation, self._seed)
            self._last_ms = (perf_counter() - start) * 1e3
            if not np.isfinite(chunk.position).all():
                self.get_logger().error("the policy gave a chunk that is not finite; dropped")
                continue
            self._chunks.publish(chunk_msg(chunk, self._robot.joint_names))
            self._gates.publish(gate_msg(gate, (now_ns(self) - chunk.stamp_ns) / 1e6))
            self._made += 1

    def _report(self) -> dict[str, object]:
        return {
            "chunks": self._made,
            "overruns": self._overruns,
            "inference_ms": round(self._last_ms, 3),
            "incomplete_observations": self._assembler.incomplete,
        }


def _blank(robot: Robot, steps: int) -> Observation:
    """Return a black observation at home, to load every code path before the first real one."""
    images = {c.name: np.zeros((steps, c.observation_height, c.observation_width, 3), np.uint8) for c in robot.cameras}
    home = np.tile(robot.joint_array("home"), (steps, 1))
    return Observation(1, images, home, np.zeros_like(home))


def main() -> None:
    """Run the node."""
    run_node(PolicyNode)


if __name__ == "__main__":
    main()
