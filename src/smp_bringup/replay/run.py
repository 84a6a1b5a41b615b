"""The deployed pipeline over a bag, without ROS and deterministic: what would the policy have done?"""

from dataclasses import dataclass

import numpy as np

from smp_bringup.observation.observer import Observer
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.replay.aligned import aligned_sets, leader_trajectory
from smp_bringup.replay.reader import Bag
from smp_bringup.robot import Robot
from smp_bringup.types import ActionChunk, FloatArray, GateReport, nanoseconds


@dataclass(frozen=True)
class ReplayResult:
    """Chunks of the policy at the replanning instants of a bag, beside what the leaders did."""

    chunks: tuple[ActionChunk, ...]
    gates: tuple[GateReport, ...]
    error: FloatArray
    """(N, T, J) predicted minus demonstrated [rad], grippers [m]; NaN after the demonstration's end."""

    def per_arm(self, robot: Robot) -> dict[str, dict[str, float]]:
        """Return the RMS error of each arm's joints [rad] and gripper [m]."""
        grippers = np.array([joint.gripper for joint in robot.joints])
        out = {}
        for arm in robot.arms:
            part = np.zeros(robot.dof, dtype=bool)
            part[robot.arm_slices[arm.name]] = True
            out[arm.name] = {
                "joint_rmse_rad": _rms(self.error[..., part & ~grippers]),
                "gripper_rmse_m": _rms(self.error[..., part & grippers]),
            }
        return out

    def per_step(self, robot: Robot) -> list[float]:
        """Return the RMS error of all arm joints [rad] at each step of the horizon."""
        arms = np.array([not joint.gripper for joint in robot.joints])
        return [_rms(self.error[:, k, arms]) for k in range(self.error.shape[1])]


def replay(bag: Bag, policy: AbstractPolicy, robot: Robot, seed: int = 0) -> ReplayResult:
    """Run the policy at every replanning instant of a bag; equal inputs give equal results, bit for bit."""
    observer = Observer(robot, policy.config.observation_steps, policy.config.replan_s)
    stamps, leader = leader_trajectory(bag, robot)
    base = stamps[0]
    chunks, gates, errors = [], [], []
    for aligned in aligned_sets(bag, robot):
        observation = observer.push(aligned)
        if observation is None:
            continue
        chunk, gate = policy.infer(observation, seed)
        at = chunk.stamp_ns + np.arange(len(chunk.position)) * nanoseconds(chunk.period_s) - base
        wanted = np.stack([np.interp(at, stamps - base, column, right=np.nan) for column in leader.T], axis=1)
        chunks.append(chunk)
        gates.append(gate)
        errors.append(chunk.position - wanted)
    shape = (0, policy.config.horizon, robot.dof)
    return ReplayResult(tuple(chunks), tuple(gates), np.array(errors) if errors else np.zeros(shape))


def _rms(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else float("nan")
