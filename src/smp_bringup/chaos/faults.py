"""The faults that `smp chaos` injects: each returns how long the reaction took [ms], or fails."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from smp_bringup.chaos.rig import ChaosRig
from smp_bringup.client.graph_client import GraphError
from smp_bringup.errors import EXIT_CODE
from smp_bringup.launcher import Graph
from smp_bringup.nodes.messages import chunk_msg
from smp_bringup.registry import Registry
from smp_bringup.types import ActionChunk

ALLOWANCE_MS = 20.0
"""What the scheduler of a machine that is not real-time may add."""
_WAIT_S = 8.0
_STILL = 1e-6
"""A joint that is told to stand still differs by rounding at most [rad]."""

Inject = Callable[[ChaosRig, np.random.Generator], float]


@dataclass(frozen=True)
class Fault:
    """One fault of the specification."""

    what: str
    bound_ms: float
    """From the fault to the first correct output, without the allowance."""
    repeats: int
    inject: Inject


FAULTS: Registry[Fault] = Registry("fault")


def _fault(name: str, what: str, bound_ms: float, repeats: int = 10) -> Callable[[Inject], Inject]:
    def add(inject: Inject) -> Inject:
        FAULTS.register(name)(Fault(what, bound_ms, repeats, inject))
        return inject

    return add


def _react(rig: ChaosRig, check: str) -> float:
    """Wait for a fault of a check and for rest; return how long the fault took [ms]."""
    took = rig.until(lambda: rig.mode == "fault", _WAIT_S, f"a fault of {check}")
    state = rig.client.command_state
    if state["check"] != check:
        raise GraphError(f"a fault of {check} was expected, it was {state['check']}: {state['reason']}")
    rig.rest()
    return took


@_fault("F14", "three states that are not finite", 50)
def _nonfinite_state(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow()
    arm = rig.robot.arms[rng.integers(len(rig.robot.arms))]
    rig.silent.add(arm.name)
    for _ in range(3):
        rig.report([arm], np.full(rig.robot.dof, rng.choice([np.nan, np.inf])))
    return _react(rig, "state_finite")


@_fault("F15", "a measured position jumps", 40)
def _jump(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow()
    rig.offset[rng.choice(np.flatnonzero(rig.robot.turning))] = 0.3
    return _react(rig, "state_jump")


@_fault("F16", "the state of one arm is lost", 70)
def _state_lost(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow()
    rig.silent.add(str(rng.choice([arm.name for arm in rig.robot.arms])))
    took = rig.until(rig.held("state_fresh"), _WAIT_S, "the hold")
    _react(rig, "state_fresh")
    return took


@_fault("F17", "a second publisher of joint states", 1020, 5)
def _second_driver(rig: ChaosRig, rng: np.random.Generator) -> float:
    return _rogue(rig, rig.robot.arms[0].state_topic)


@_fault("F20", "two chunks that are not finite", 20)
def _nonfinite_chunk(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow("policy")
    rig.quiet.add("policy")
    for wait_s in (0.02, 0.0):  # the reaction is due after the second
        chunk = rig.chunk()
        chunk.position[rng.integers(len(chunk.position)), rng.integers(rig.robot.dof)] = rng.choice(
            [np.nan, np.inf, 1e300]
        )
        rig.chunks.publish(chunk_msg(chunk, rig.robot.joint_names))
        rig.client.spin_for(wait_s)
    return _react(rig, "source_contract")


@_fault("F21", "a chunk that lacks a joint, or of joints in another order", 20)
def _other_joints(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow("policy")
    chunk = rig.chunk()
    names = rig.robot.joint_names
    if rng.integers(2):
        rig.chunks.publish(chunk_msg(chunk, names[::-1]))
    else:
        rig.chunks.publish(chunk_msg(ActionChunk(chunk.stamp_ns, chunk.period_s, chunk.position[:, 1:]), names[1:]))
    return _react(rig, "source_contract")


@_fault("F40", "the followed source falls silent", 120)
def _silent_source(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow()
    rig.quiet.add("teleop")
    took = rig.until(rig.held("source_fresh"), _WAIT_S, "the hold")
    _react(rig, "source_fresh")
    return took


@_fault("F41", "stamps an hour ahead", 120)
def _ahead(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow()
    rig.ahead_ns = 3_600_000_000_000
    took = rig.until(rig.held("source_fresh"), _WAIT_S, "the hold")
    _react(rig, "source_fresh")
    return took


@_fault("F43", "a second publisher of commands", 1020, 5)
def _second_commander(rig: ChaosRig, rng: np.random.Generator) -> float:
    return _rogue(rig, rig.robot.arms[-1].command_topic)


@_fault("F44", "a second teleoperation: samples of it that were followed", 0, 5)
def _second_source(rig: ChaosRig, rng: np.random.Generator) -> float:
    still = np.flatnonzero(rig.robot.turning & (rig.swing == 0))
    if not len(still):
        raise GraphError(f"robot '{rig.robot.name}' has no joint that turns and could stand still")
    lifted = int(rng.choice(still))
    with rig.stranger("rogue_teleop") as stranger:
        rig.follow()
        before = rig.ear.newest()[lifted]
        away, _ = rig.target()
        away[lifted] += 0.3
        stranger.says("/teleop/command", away, 30)
    moved = abs(rig.ear.newest()[lifted] - before)
    return 0.0 if moved < _STILL and rig.mode == "teleop" else float("inf")


@_fault("F45", "the emergency stop is pressed at speed, released and reset", 50, 1000)
def _estop(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow(str(rng.choice(["teleop", "policy"])))
    rig.client.spin_for(rng.uniform(0, 0.1))
    future = rig.client.ask_bool("/command/estop", True)
    took = rig.until(lambda: rig.mode == "estop", _WAIT_S, "the stop")
    rig.until(future.done, _WAIT_S, "the answer")
    rig.rest()
    rig.client.set_bool("/command/estop", False)
    rig.client.spin_for(0.03)
    return took


@_fault("F46", "the emergency stop's heartbeat stops", 170)
def _heartbeat(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow()
    rig.quiet.add("heartbeat")
    return _react(rig, "estop_link")


@_fault("F47", "arming and disarming: the answer", 1000, 1000)
def _arming(rig: ChaosRig, rng: np.random.Generator) -> float:
    if rig.mode != "disarmed":
        _disarm(rig)
    begun = time.monotonic()
    rig.until(rig.arm, _WAIT_S, "arming")
    took = (time.monotonic() - begun) * 1e3
    rig.until(lambda: rig.mode == "hold", _WAIT_S, "the hold")
    rig.until(lambda: rig.client.accepts("disarm"), _WAIT_S, "disarming")
    rig.until(lambda: rig.mode == "disarmed", _WAIT_S, "disarmed")
    return took


@_fault("F50", "the source is switched at speed", 50, 1000)
def _switch(rig: ChaosRig, rng: np.random.Generator) -> float:
    if rig.mode not in ("policy", "teleop"):
        rig.follow()
    rig.client.spin_for(rng.uniform(0, 0.03))
    other = "policy" if rig.mode == "teleop" else "teleop"
    rig.until(lambda: rig.client.accepts(f"use_{other}"), _WAIT_S, "the switch")
    return rig.until(lambda: rig.mode == other, _WAIT_S, "the switch to be seen")


@_fault("F52", "the command node is stopped for 7.5 cycles or 500 ms", 50)
def _overrun(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow()
    rig.send(signal.SIGSTOP)
    rig.client.spin_for(float(rng.choice([7.5 * rig.robot.control_period_s, 0.5])))
    rig.send(signal.SIGCONT)
    took = rig.until(lambda: rig.mode == "fault", _WAIT_S, "the fault")
    rig.rest()
    return took


@_fault("F54", "the command node is killed and started again: commands before it is armed", 0, 3)
def _respawn(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow()
    rig.send(signal.SIGKILL)
    rig.client.spin_for(0.3)
    rig.start()
    heard = rig.ear.heard
    rig.client.spin_for(0.5)
    return 0.0 if rig.ear.heard == heard and rig.mode == "disarmed" else float("inf")


@_fault("F74", "another node named command: it ends", 3000, 2)
def _twin(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow()
    log = rig.log.with_name("twin.log")
    with Graph([rig.command], log) as graph:
        twin = graph.processes["command"]
        rig.until(rig.fault("graph_guard"), 20.0, "the fault")
        seen = time.monotonic()
        rig.until(lambda: twin.poll() is not None, 20.0, "the end of the second")
    said = log.read_text(encoding="utf-8")
    if twin.returncode != EXIT_CODE or "already running" not in said:
        raise GraphError(f"the second command node ended with {twin.returncode}: {said.strip()[-200:]}")
    rig.rest()
    return (time.monotonic() - seen) * 1e3


@_fault("F76", "a publisher of another type: named when arming is asked for", 2020, 3)
def _wrong_type(rig: ChaosRig, rng: np.random.Generator) -> float:
    with rig.stranger("wrong") as stranger:
        _disarm(rig)
        stranger.publishes("/policy/chunk", "image")
        return rig.until(lambda: rig.is_not_armed("speaks sensor_msgs/msg/Image"), 20, "the refusal")


@_fault("F77", "a parameter is changed while armed: refused", 1000, 5)
def _parameter(rig: ChaosRig, rng: np.random.Generator) -> float:
    rig.follow()
    begun = time.monotonic()
    try:
        rig.client.set_parameters("command", safety="default")
    except GraphError:
        return (time.monotonic() - begun) * 1e3
    raise GraphError("the parameter was changed")


def _disarm(rig: ChaosRig) -> None:
    rig.follow()
    rig.until(lambda: rig.client.accepts("disarm"), _WAIT_S, "disarming")
    rig.until(lambda: rig.mode == "disarmed", _WAIT_S, "disarmed")


def _rogue(rig: ChaosRig, topic: str) -> float:
    """Let a second publisher of a topic appear; the fault must name it."""
    with rig.stranger("rogue") as stranger:
        rig.follow()
        appeared_s = stranger.publishes(topic)
        rig.until(rig.fault("graph_guard"), _WAIT_S, "the fault")
        took = (time.monotonic() - appeared_s) * 1e3
        rig.rest()
    if "/rogue" not in rig.client.command_state["reason"]:
        raise GraphError(f"the rogue is not named: {rig.client.command_state['reason']}")
    return took
