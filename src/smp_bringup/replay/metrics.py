"""Figures of a replay: samples by name, and their distributions. Errors in the units of `replay.families`."""

from collections.abc import Iterable, Mapping

import numpy as np

from smp_bringup.policy.base import STALL
from smp_bringup.replay.families import FAMILIES, family, members
from smp_bringup.replay.gripper_events import gripper_events, match_events, phases
from smp_bringup.replay.run import ReplayResult
from smp_bringup.robot import Robot
from smp_bringup.types import FloatArray, nanoseconds

Samples = dict[str, FloatArray]
"""Every figure as the values it was taken from."""

_ERRORS = (*FAMILIES, "gripper_share")


def samples(result: ReplayResult, robot: Robot, replan_s: float) -> Samples:
    """Return the samples of one bag.

    Args:
        result: of the replay.
        robot: that the policy drives.
        replan_s: period of the policy, its deadline [s].
    """
    return {
        **_errors(result, robot),
        **_gripper_timing(result, robot, replan_s),
        **_motion(result, robot),
        **_gate(result, robot),
        **_run(result, replan_s),
    }


def pooled(parts: Iterable[Samples]) -> Samples:
    """Return the samples of several bags as one."""
    every: dict[str, list[FloatArray]] = {}
    for part in parts:
        for name, values in part.items():
            every.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in every.items()}


def summarise(parts: Mapping[str, FloatArray]) -> dict[str, float]:
    """Return the figures of samples by name: rmse of errors, total of counts, else mean and percentiles.

    A name with a part after a slash keeps it: the samples `joint/left` give `joint_rmse/left`.
    """
    out: dict[str, float] = {}
    for name, values in sorted(parts.items()):
        known = values[np.isfinite(values)]
        base, _, part = name.partition("/")
        tail = f"/{part}" if part else ""
        if base in COUNTS:
            out[base + tail] = float(known.sum())
        elif len(known):
            if base in _ERRORS:
                out[f"{base}_rmse{tail}"] = float(np.sqrt(np.mean(known**2)))
                known = np.abs(known)
            out[f"{base}_mean{tail}"] = float(known.mean())
            if not part or base not in _ERRORS:
                for share in (50, 90, 99):
                    out[f"{base}_p{share}{tail}"] = float(np.percentile(known, share))
                out[f"{base}_max{tail}"] = float(known.max())
    return out


COUNTS = (
    "chunks",
    "gripper_missed",
    "gripper_spurious",
    "interventions",
    "held_cycles",
    "refused_chunks",
    "deadline_misses",
    "log_anomalies",
    "sync_refused",
)


def _errors(result: ReplayResult, robot: Robot) -> Samples:
    """Errors by family: whole, and of each arm, step and joint. Families that the robot has none of are left out."""
    error = result.error / _units(robot)
    out: Samples = {}
    for base in FAMILIES:
        mask = members(robot, base)
        if not mask.any():
            continue
        out[base] = error[..., mask].ravel()
        for arm in robot.arms:
            mine = np.zeros(robot.dof, dtype=bool)
            mine[robot.arm_slices[arm.name]] = True
            out[f"{base}/{arm.name}"] = error[..., mine & mask].ravel()
        for step in range(error.shape[1]):
            out[f"{base}/step_{step:02d}"] = error[:, step, mask].ravel()
    for i, joint in enumerate(robot.joints):
        out[f"{family(joint)}/{joint.name}"] = error[..., i].ravel()
    grippers = members(robot, "gripper")
    if grippers.any():
        span = robot.joint_array("max") - robot.joint_array("min")
        out["gripper_share"] = (error / span)[..., grippers].ravel()
    return out


def _units(robot: Robot) -> FloatArray:
    """Return what errors (J,) are divided by: the top speed of a rate, so that m/s and rad/s may be told together."""
    top = np.maximum(-robot.joint_array("min"), robot.joint_array("max"))
    return np.where(robot.rates, top, 1.0)


def _gripper_timing(result: ReplayResult, robot: Robot, replan_s: float) -> Samples:
    """When the policy opens and closes grippers, against when the operator did."""
    if not members(robot, "gripper").any():
        return {}
    times, missed, spurious = [], 0, 0
    stamps, predicted = executed(result, replan_s)
    for i, joint in enumerate(robot.joints):
        if not joint.gripper or len(result.leader_ns) < 2 or len(stamps) < 2:
            continue
        inside = (result.leader_ns >= stamps[0]) & (result.leader_ns <= stamps[-1])
        theirs = gripper_events(result.leader_ns[inside], result.leader[inside, i], joint)
        ours = gripper_events(stamps, predicted[:, i], joint)
        matched, lost, extra = match_events(theirs, ours)
        times += matched
        missed, spurious = missed + lost, spurious + extra
    return {
        "gripper_timing_s": np.abs(np.array(times, dtype=np.float64)),
        "gripper_missed": np.array([missed], dtype=np.float64),
        "gripper_spurious": np.array([spurious], dtype=np.float64),
    }


def executed(result: ReplayResult, replan_s: float) -> tuple[np.ndarray, FloatArray]:
    """Return stamps (M,) and actions (M, J) of the part of every chunk that stands until the next one."""
    count = max(1, round(replan_s / result.chunks[0].period_s))
    stamps = [c.stamp_ns + k * nanoseconds(c.period_s) for c in result.chunks for k in range(count)]
    return np.array(stamps, dtype=np.int64), np.concatenate([c.position[:count] for c in result.chunks])


def _motion(result: ReplayResult, robot: Robot) -> Samples:
    """Seams, and velocity, acceleration and jerk of what the chunks ask for as a share of the limits."""
    out = result.setpoints
    travel, slides = ~robot.turning & ~robot.rates, members(robot, "slide")
    jumps = np.abs(np.array([jump for _, jump in out.jumps])).reshape(-1, robot.dof)
    target, command = (np.array(rows).reshape(-1, robot.dof) for rows in (out.target, out.command))
    cut = np.abs(target - command)
    parts = {
        "seam_rad": (jumps, robot.turning),
        "seam_m": (jumps, travel),
        "limited_rad": (cut, robot.turning),
        "limited_m": (cut, slides),  # grippers are told to close at once
    }
    samples: Samples = {name: rows[:, mask].max(axis=1) for name, (rows, mask) in parts.items() if mask.any()}
    rows, period = target, robot.control_period_s
    steady = np.diff(np.array(out.stamp_ns, dtype=np.int64)) == nanoseconds(period)
    for name, limit in zip(("velocity", "acceleration", "jerk"), robot.slopes, strict=True):
        if len(rows) < 2:
            samples[f"{name}_ratio"] = np.zeros(0)
            continue
        rows = np.diff(rows, axis=0) / period
        ratio = (np.abs(rows) / limit).max(axis=1)
        samples[f"{name}_ratio"] = ratio[steady]
        steady = steady[1:] & steady[:-1]
    return samples


def _gate(result: ReplayResult, robot: Robot) -> Samples:
    """Active experts, flips, usage and kept mass, whole and by phase of the task."""
    out: Samples = {}
    first = np.array([gate.heaviest for gate in result.gates])
    values = {
        "active_experts": np.array([float(len(gate.active)) for gate in result.gates]),
        "kept_mass": np.array([gate.kept_mass for gate in result.gates]),
        "gate_flip": np.concatenate([[0.0], (np.diff(first) != 0).astype(np.float64)]),
    }
    mass = np.array([gate.mass for gate in result.gates])
    labels = phases(result, robot)
    for name, row in values.items():
        out[name] = row
        for label in dict.fromkeys(labels):
            out[f"{name}/{label}"] = row[np.array([x == label for x in labels])]
    for i in range(mass.shape[1]):
        out[f"usage/expert_{i}"] = mass[:, i]
    return out


def _run(result: ReplayResult, replan_s: float) -> Samples:
    spent_ms = np.array([sum(gate.stage_ms.values()) - gate.stage_ms.get(STALL, 0.0) for gate in result.gates])
    refused = sum(count for name, count in result.counters.items() if "/" in name)
    counts = {
        "chunks": len(result.chunks),
        "interventions": len(result.setpoints.events),
        "held_cycles": result.setpoints.held,
        "refused_chunks": result.setpoints.refused,
        "deadline_misses": int((spent_ms > replan_s * 1e3).sum()),
        "log_anomalies": result.order.backwards + result.order.epochs - 1,
        "sync_refused": refused,
    }
    skew = {f"skew_ms/{name}": np.abs(np.array(values)) / 1e6 for name, values in result.skew_ns.items()}
    every = np.concatenate([np.zeros(0), *skew.values()])
    numbers = {name: np.array([float(count)]) for name, count in counts.items()}
    return {**numbers, **skew, "skew_ms": every, "inference_ms": spent_ms}
