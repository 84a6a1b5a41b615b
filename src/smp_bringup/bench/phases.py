"""Whether a mixture's experts follow the phases of a task: its gate along the scripted operator's motion."""

from dataclasses import dataclass

import numpy as np

from smp_bringup.errors import ModelError
from smp_bringup.policy.base import DeployedPolicy
from smp_bringup.sim.lockstep import START_NS
from smp_bringup.sim.state_ring import StateRing
from smp_bringup.sim.state_track import Follower
from smp_bringup.sim.world import World
from smp_bringup.tasks.experts import ScriptedOperator
from smp_bringup.types import FloatArray, nanoseconds

_SHIFTS = 200
"""Random shifts behind the chance level."""


@dataclass(frozen=True)
class Walk:
    """One demonstration, and what a policy makes of each of its observations."""

    time_s: FloatArray
    """(N,)."""
    phase: np.ndarray
    """(N, hands): which of its movements each hand makes."""
    gate: FloatArray
    """(N, K)."""
    basis: FloatArray | None
    """(N, J, K) of SMP."""


def walk(world: World, policy: DeployedPolicy, seed: int) -> Walk:
    """Let the scripted operator solve the layout of `seed` while the policy looks on, once per action period.

    Raises:
        ModelError: the policy has no gate, or does not see object poses.
    """
    if policy.config.track != "state" or policy.config.experts < 2:
        raise ModelError(
            f"a {policy.config.kind} policy of the {policy.config.track} track has no gate to look at here"
        )
    robot = world.robot
    world.reset(seed)
    operator = ScriptedOperator(world.task, world.model, world.data, robot, seed)
    follower, words = Follower(robot, robot.joint_array("home")), policy.words_of(world.task.config.text)
    ring = StateRing(world, policy.config.observation_steps, words)
    ticks = round(robot.action_period_s / robot.control_period_s)
    times, phases, coded = [], [], []
    for tick in range(round(operator.duration_s / robot.control_period_s)):
        if tick % ticks == 0:
            observation = ring.look(START_NS + nanoseconds(tick * robot.control_period_s))
            if observation is not None:
                coded.append(policy.encode(observation))
                times.append(world.time_s)
                phases.append(operator.phase(world.time_s))
        world.set_setpoint(follower.follow(operator.target(world.time_s)))
        world.step(robot.control_period_s)
    basis = np.array([c["basis"] for c in coded]) if "basis" in coded[0] else None
    return Walk(np.array(times), np.array(phases), np.array([c["gate"] for c in coded]), basis)


def agreement(walks: list[Walk], seed: int = 0) -> tuple[float, float]:
    """Return how much of the phases the heaviest expert tells, and how much it would by chance.

    The first is I(expert; phase) / H(phase) over all walks of one task. Chance keeps how long an expert stays: the
    experts of each walk are shifted in time, around its end, by random amounts.
    """
    rng = np.random.default_rng(seed)
    phase = np.unique(np.concatenate([w.phase for w in walks]), axis=0, return_inverse=True)[1]
    experts = [w.gate.argmax(1) for w in walks]
    told = _told(np.concatenate(experts), phase)
    shifted = [
        _told(np.concatenate([np.roll(e, rng.integers(len(e))) for e in experts]), phase) for _ in range(_SHIFTS)
    ]
    return told, float(np.mean(shifted))


def _told(expert: np.ndarray, phase: np.ndarray) -> float:
    joint = np.zeros((expert.max() + 1, phase.max() + 1))
    np.add.at(joint, (expert, phase), 1.0 / len(phase))
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    inside = joint > 0
    share = joint.sum(0)[joint.sum(0) > 0]
    entropy = -float(np.sum(share * np.log(share)))
    told = float(np.sum(joint[inside] * np.log(joint[inside] / independent[inside])))
    return max(0.0, told) / max(entropy, 1e-12)
