"""Composition root: live nodes, replay, simulation and notebooks build the same objects here.

Imports stand inside the functions, so that the command process loads neither torch
nor an image library.
"""

from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from smp_bringup.errors import ConfigError
from smp_bringup.robot import Robot

if TYPE_CHECKING:
    from smp_bringup.action.planner import Planner
    from smp_bringup.policy.base import AbstractPolicy
    from smp_bringup.safety.command import CommandCore
    from smp_bringup.safety.config import SafetyConfig
    from smp_bringup.sync.aligner import Aligner
    from smp_bringup.sync.watch import StreamWatch


def build_sync(robot: Robot) -> "Aligner":
    """Return the aligner of cameras and joints."""
    from smp_bringup.sync.aligner import Aligner

    return Aligner(robot)


def build_watch(robot: Robot) -> "StreamWatch":
    """Return the watch over the streams that the aligner takes."""
    from smp_bringup.sync.watch import StreamWatch

    return StreamWatch(robot)


def build_policy(
    folder: Path, robot: Robot, device: str = "cpu", changes: Sequence[str] = (), experts_mb: float = 0.0
) -> "AbstractPolicy":
    """Return the policy of a checkpoint folder, or of LeRobot (`lerobot:PATH`), of which no setting can be changed.

    See `policy.checkpoint.load_policy` and `lerobot.policy.load` for what is refused.
    """
    from smp_bringup.policy.checkpoint import is_hosted, load_policy

    if is_hosted(folder):
        from smp_bringup.lerobot.policy import load

        if changes:
            raise ConfigError(f"'{folder}': --set changes policies of ours, not of LeRobot; got {changes[0]}")
        if experts_mb:
            raise ConfigError(f"'{folder}': experts_mb is for policies of ours, not of LeRobot; leave it out")
        return load(folder, robot, device)
    return load_policy(folder, robot, device, changes, experts_mb)


def build_planner(
    policy: "AbstractPolicy",
    robot: Robot,
    seam: str,
    seed: int = 0,
    deadline_s: float = inf,
    costs_s: Sequence[float] = (),
) -> "Planner":
    """Return what makes chunks of observations.

    Args:
        policy: to run.
        robot: that it drives.
        seam: how chunks are joined, one of `action.seam.SEAMS`.
        seed: of the policy's noise.
        deadline_s: of an inference [s]; without one no inference is late.
        costs_s: of an inference at each level, as measured here (`policy.reduced.costs_s`); by these it begins in time.

    Raises:
        ConfigError: the policy was not trained for the seam.
    """
    from smp_bringup.action.planner import Planner
    from smp_bringup.action.seam import Seam

    if seam == "prefix" and not policy.config.prefix_steps:
        kind = policy.config.kind
        raise ConfigError(
            f"seam prefix needs a policy trained with prefix_steps, this {kind} was not; use seam inpaint"
        )
    if seam in ("inpaint", "prefix") and not policy.inpaints:
        raise ConfigError(
            f"seam {seam} tells a policy what is committed, the sampler of {policy.config.kind} takes no such thing: "
            "use seam blend or latest"
        )
    joiner = Seam(seam, robot.dof, robot.action_period_s, robot.control_period_s)
    return Planner(policy, joiner, seed, deadline_s, costs_s)


def build_command(robot: Robot, safety: "str | SafetyConfig" = "", replayed: bool = False) -> "CommandCore":
    """Return the command core with the safety settings `safety`.

    Args:
        robot: to command.
        safety: name, YAML path, or the settings themselves; empty: the robot's.
        replayed: the arms are those of a bag. They do not go where they are told, so nothing is trimmed, they may stand
            still, and are armed while they move; and the robot file in the bag may be from before there was any
            geometry: checks that need it are left out then.
    """
    import math
    from dataclasses import replace

    from smp_bringup.geometry import has_geometry
    from smp_bringup.safety import CHECKS
    from smp_bringup.safety.command import CommandCore
    from smp_bringup.safety.config import load_safety, safety_of

    config = load_safety(safety_of(robot, safety)) if isinstance(safety, str) else safety
    if replayed:
        known = has_geometry(robot)
        checks = tuple(name for name in config.checks if known or not CHECKS[name].needs_geometry)
        checks = tuple(name for name in checks if name != "rates_follow")
        gripper = replace(config.gripper, max_rest_speed=math.inf)
        config = replace(
            config, checks=checks, trim_limit=0.0, follow_step=math.inf, max_rest_speed=math.inf, gripper=gripper
        )
    return CommandCore(robot, config)


def warm_up_command(robot: Robot, safety: str = "") -> None:
    """Run a command core for a second of simulated time, so that the first real cycle meets warm code."""
    import numpy as np

    from smp_bringup.safety.modes import Mode
    from smp_bringup.types import JointSample, nanoseconds

    core, home = build_command(robot, safety), np.array(robot.joint_array("home"))
    for cycle in range(100):
        now = nanoseconds(1 + cycle * robot.control_period_s)
        for arm in robot.arms:
            part = home[robot.arm_slices[arm.name]]
            core.on_state(arm.name, JointSample(now, part, np.zeros_like(part)), now)
        core.on_teleop(JointSample(now, home + 1e-3 * np.sin(0.1 * cycle), np.zeros(robot.dof)), now, now)
        core.arm(now)
        core.use(Mode.TELEOP, now, now)
        core.step(now, now)
