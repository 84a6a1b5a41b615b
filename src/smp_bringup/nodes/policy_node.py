"""Observations in, action chunks and gate reports out; inference runs beside the executor."""

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from smp_bringup import wire
from smp_bringup.action.mailbox import Mailbox
from smp_bringup.bag.episode import in_words
from smp_bringup.errors import ConfigError, InstallError, ModelError, SmpError, WorkerError, one_line
from smp_bringup.nodes import qos
from smp_bringup.nodes.base import Diagnostics, now_ns, run_node, steady_ns
from smp_bringup.nodes.managed import ManagedNode
from smp_bringup.nodes.messages import chunk_msg, gate_msg, status_values
from smp_bringup.nodes.params import PolicyParams, current, declare
from smp_bringup.observation.assembler import Assembler
from smp_bringup.observation.observer import Observer
from smp_bringup.pipeline import build_planner, build_policy
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.checkpoint import find_model, is_hosted
from smp_bringup.policy.reduced import costs_s
from smp_bringup.policy.trial import blank, warm_up
from smp_bringup.robot import Robot, load_robot
from smp_bringup.stats import percentiles
from smp_bringup.types import AlignedSet, Observation

_HUNG_EXIT = 70
"""Exit code of a node whose inference hangs, or whose worker died: the launcher starts it again."""


class PolicyNode(ManagedNode):
    """Wires a policy to topics; observations that arrive during inference replace each other."""

    _worker: threading.Thread | None = None
    _policy: AbstractPolicy | None = None
    """None until there is one to be told anything."""

    def __init__(self) -> None:
        super().__init__("policy")
        self._params = declare(self, PolicyParams)
        self.autostart = self._params.autostart
        self.add_on_set_parameters_callback(self._on_set)

    def configure(self) -> None:
        """As of ManagedNode."""
        params = self._params
        self._robot = load_robot(params.robot, self.get_namespace())
        policy = self._load(params.device)
        config, self._engine = policy.config, policy.runs_in
        deadline_s = params.deadline_s or config.replan_s
        cost = costs_s(policy, blank(self._robot, config.observation_steps))
        self._planner = build_planner(policy, self._robot, params.seam, params.seed, deadline_s, cost)
        if (level := self._planner.level) != "full":
            self.get_logger().warning(
                f"a chunk takes {cost[0] * 1e3:.0f} ms here, the deadline is {deadline_s * 1e3:.0f} ms: {level}"
            )
        self._assembler = Assembler(config.sights, bool(config.vectors))
        self._observer = Observer(self._robot, config.observation_steps, config.replan_s, resized=True)
        self._config, self._told = config, ""
        if task := current(self, PolicyParams).task or policy.told:
            self._tell(policy, task)
        self._policy = policy
        self._busy_since_ns: int | None = None
        self._gpu_lost, self._observations = "", 0
        self._errors, self._queue_ms, self._latency_ms = 0, [], []  # type: ignore[var-annotated]
        self._age_ms: list[float] = []

    def activate(self) -> None:
        """As of ManagedNode."""
        config = self._config
        self._mailbox: Mailbox[tuple[Observation, int]] = Mailbox()
        self._chunks = self.create_publisher(JointTrajectory, "policy/chunk", qos.LATEST)
        self._gates = self.create_publisher(JointState, "policy/gate", qos.OBSERVATION)
        self._tasks = self.create_publisher(String, "policy/task", qos.OBSERVATION)
        for name in config.sights:
            self._hear(Image, f"observation/{name}", partial(self._on_image, name))
        if config.vectors:
            self._hear(JointState, "observation/vectors", self._on_vectors)
        self._hear(JointState, "observation/joint_states", self._on_joints)
        self.create_subscription(DiagnosticArray, "command/state", self._on_command_state, qos.STATE)
        self._diagnostics = Diagnostics(self, self._report)
        self.create_timer(0.1, self._watch_worker, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._worker = threading.Thread(target=self._work, args=(self._mailbox,), name="inference", daemon=True)
        self._worker.start()
        self.get_logger().info(
            f"{config.kind} ready, {config.experts} experts, seam {self._params.seam}, {self._engine}"
        )

    def _hear(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        self.create_subscription(kind, topic, self.speakers.only(topic, callback), qos.OBSERVATION)

    def why_not_deactivate(self) -> str:
        """Stop the worker; while it is in the midst of an inference, what it works with must stay."""
        if self._worker is not None:
            self._mailbox.close()
            self._worker.join(timeout=2.0)
            if self._worker.is_alive():
                return "an inference is running: ask again once it has ended"
            self._worker = None
        return ""

    def let_go(self) -> None:
        """End the policy's process, or give back its memory, before another one is loaded."""
        self._policy = None
        self.__dict__.pop("_planner", None)

    def destroy_node(self) -> None:
        """Stop the worker, then the node."""
        self.why_not_deactivate()
        super().destroy_node()

    def _folder(self) -> Path:
        model = self._params.model or self._robot.model
        if not model:
            raise ConfigError(f"policy: robot '{self._robot.name}' names no model in its file: set the parameter model")
        return find_model(model)

    def _load(self, device: str) -> AbstractPolicy:
        """Return the policy, warmed up; on the CPU instead of a missing GPU only if that is allowed."""
        folder = self._folder()
        if is_hosted(folder) and self._params.allow_cpu_fallback:
            raise ConfigError(f"policy: allow_cpu_fallback is for policies of ours, '{folder}' runs where device says")
        try:
            policy = build_policy(folder, self._robot, device, experts_mb=self._params.experts_mb)
        except InstallError as error:
            if device == "cpu" or not self._params.allow_cpu_fallback:
                raise
            policy = build_policy(folder, self._robot, "cpu", experts_mb=self._params.experts_mb)
            self.get_logger().warning(f"{one_line(error)}: on the CPU, {_time_ms(policy, self._robot):.0f} ms a chunk")
        warm_up(policy, self._robot)
        return policy

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        """Tell the policy what to do; refuse what it does not know."""
        try:
            for parameter in parameters:
                if parameter.name == "task" and self._policy is not None:
                    self._tell(self._policy, parameter.value)
        except SmpError as error:
            return SetParametersResult(successful=False, reason=one_line(error))
        return SetParametersResult(successful=True)

    def _tell(self, policy: AbstractPolicy, task: str) -> None:
        """Let every observation from now on say what to do; raises ConfigError where the policy does not know it."""
        sentence = in_words(task) or policy.told
        self._observer.tell(sentence, policy.words_of(sentence))
        self._told = sentence

    @property
    def _waits(self) -> str:
        """Why nothing is inferred although there are observations; empty where that is not so."""
        untold = self._config.words and not self._told
        return "told nothing: this policy waits to be told what to do (smp run --task, or its parameter task)" * untold

    def _on_image(self, camera: str, message: Image) -> None:
        frame = wire.depth_frame(message) if camera in self._config.depth else wire.frame(message)
        self._take(self._assembler.push_image(camera, frame.stamp_ns, frame.image))

    def _on_joints(self, message: JointState) -> None:
        self._take(self._assembler.push_joints(wire.whole_robot(message, self._robot.joint_names)))

    def _on_vectors(self, message: JointState) -> None:
        self._take(self._assembler.push_vectors(*wire.observed_vectors(message, self._robot)))

    def _on_command_state(self, message: DiagnosticArray) -> None:
        """Learn which chunk is followed, and since when: the delay that seams are made for is measured here."""
        followed = int(status_values(message).get("chunk_stamp_ns", "0"))
        self._planner.follows(followed or None, wire.stamp_ns(message.header.stamp))

    def _take(self, aligned: AlignedSet | None) -> None:
        if aligned is not None:
            self._observations += 1
            self._age_ms.append((now_ns(self) - aligned.stamp_ns) / 1e6)
        observation = None if aligned is None else self._observer.observe(aligned)
        if observation is not None and not self._waits:
            self._mailbox.put((observation, steady_ns()))

    def _work(self, mailbox: "Mailbox[tuple[Observation, int]]") -> None:
        while (item := mailbox.take()) is not None:
            observation, since_ns = item
            if self._gpu_lost or not self._observer.due(observation):
                continue
            self._busy_since_ns = steady_ns()
            self._queue_ms.append((self._busy_since_ns - since_ns) / 1e6)
            try:
                self._infer(observation)
            except WorkerError as error:
                if self.context.ok():
                    self._end(f"{one_line(error)}: ending")
            except Exception as error:  # no chunk: the one in execution goes on to its end
                if self.context.ok():  # else the node is told to stop
                    self._failed(error)
            self._busy_since_ns = None

    def _infer(self, observation: Observation) -> None:
        start = time.perf_counter()
        inference = self._planner.infer(observation)
        plan = self._planner.join(inference, time.perf_counter() - start)
        if plan.chunk is None:
            self.get_logger().error(plan.cause, throttle_duration_sec=1.0)
            return
        self._chunks.publish(chunk_msg(plan.chunk, self._robot.joint_names))
        latency_ms = (now_ns(self) - observation.stamp_ns) / 1e6
        self._latency_ms.append(latency_ms)
        self._gates.publish(gate_msg(plan.gate, latency_ms))
        if self._config.words:
            self._tasks.publish(String(data=self._told))

    def _failed(self, error: Exception) -> None:
        """Count an inference that raised; one that a GPU lost is tried once on the CPU, if that is allowed and fits."""
        self._errors += 1
        self.get_logger().error(f"inference failed: {one_line(repr(error))}", throttle_duration_sec=1.0)
        if self._params.device == "cpu" or isinstance(error, ModelError):  # the policy refused, the device works
            return
        self._gpu_lost = "gpu_lost"
        if not self._params.allow_cpu_fallback:
            return
        policy = build_policy(self._folder(), self._robot, "cpu")
        warm_up(policy, self._robot)
        took_ms = max(_time_ms(policy, self._robot) for _ in range(3))
        fits = took_ms / 1e3 <= policy.config.replan_s
        self.get_logger().error(f"gpu_lost: {took_ms:.0f} ms a chunk on the CPU, {'used' if fits else 'too slow'}")
        if fits:
            self._planner.replace(policy, costs_s(policy, blank(self._robot, policy.config.observation_steps)))
            self._gpu_lost, self._engine = "", policy.runs_in

    def _watch_worker(self) -> None:
        """End the process when an inference hangs: it cannot be interrupted, but the launcher starts it again."""
        since_ns = self._busy_since_ns
        if since_ns is not None and (steady_ns() - since_ns) / 1e9 > self._params.hung_s:
            self._end(f"inference hangs for more than {self._params.hung_s:g} s: ending")

    def _end(self, why: str) -> None:
        """End the process: what is in the midst of an inference, or lost its worker, is begun anew by the launcher."""
        self.get_logger().fatal(why)
        os._exit(_HUNG_EXIT)

    def _report(self) -> dict[str, object]:
        queue, self._queue_ms = self._queue_ms, []
        latency, self._latency_ms = self._latency_ms, []
        age, self._age_ms = self._age_ms, []
        warning = self._gpu_lost or self._waits or self._planner.warning
        return {
            **({"warning": warning} if warning else {}),
            "engine": self._engine,
            **({"told": self._told} if self._config.words else {}),
            **self._planner.values(),
            **{f"age_ms/observation/{key}": value for key, value in percentiles(age).items()},
            **{f"queue_age_ms/{key}": value for key, value in percentiles(queue).items()},
            **{f"stamp_to_chunk_ms/{key}": value for key, value in percentiles(latency).items()},
            "observations": self._observations,
            "inference_errors": self._errors,
            "incomplete_observations": self._assembler.incomplete,
            "unseen_instants": self._observer.unseen,
        }


def _time_ms(policy: AbstractPolicy, robot: Robot) -> float:
    """Return how long one inference takes [ms]."""
    start = time.perf_counter()
    policy.infer(blank(robot, policy.config.observation_steps), 0)
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Run the node."""
    run_node(PolicyNode)


if __name__ == "__main__":
    main()
