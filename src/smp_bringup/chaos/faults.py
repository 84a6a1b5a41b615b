"""The faults that `smp chaos` injects, and what must hold after each.

An injection is a context: it gives how long the reaction took [ms], and its cause is there until it ends.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np

from smp_bringup.chaos.after import After
from smp_bringup.chaos.rig import ChaosRig
from smp_bringup.client.answers import GraphError
from smp_bringup.errors import EXIT_CODE
from smp_bringup.launcher import Graph
from smp_bringup.nodes.messages import chunk_msg
from smp_bringup.registry import Registry
from smp_bringup.safety.modes import Mode
from smp_bringup.types import ActionChunk

ALLOWANCE_MS = 20.0
"""What the scheduler of a machine that is not real-time may add."""
_WAIT_S = 8.0
_STILL = 1e-6
"""A joint that is told to stand still differs by rounding at most [rad]."""

Injection = Callable[[ChaosRig, np.random.Generator], Iterator[float]]
_FOLLOWED, _DISARMED = After(), After(Mode.DISARMED)
_PRESSED = After(Mode.ESTOP, "estop", "was pressed (service)", "the emergency stop is pressed (service)")


@dataclass(frozen=True)
class Fault:
    """One fault of the specification."""

    what: str
    bound_ms: float
    """From the fault to the first correct output, without the allowance."""
    repeats: int
    inject: Callable[[ChaosRig, np.random.Generator], AbstractContextManager[float]]
    after: After


FAULTS: Registry[Fault] = Registry("fault")


def _fault(name: str, what: str, bound_ms: float, after: After, repeats: int = 10) -> Callable[[Injection], Injection]:
    def add(inject: Injection) -> Injection:
        FAULTS.register(name)(Fault(what, bound_ms, repeats, contextmanager(inject), after))
        return inject

    return add


def _latch(check: str, reason: str = "", lasting: str = "", published: bool = True) -> After:
    return After(Mode.FAULT, check, reason, lasting, published)


def _react(rig: ChaosRig) -> float:
    """Wait for a fault; return how long it took [ms]."""
    return rig.until(lambda: rig.mode == "fault", _WAIT_S, "the fault")


@_fault("F14", "three states that are not finite", 50, _latch("state_finite", "of arm", "are not finite"))
def _nonfinite_state(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow()
    arm = rig.robot.arms[rng.integers(len(rig.robot.arms))]
    heard = next(joints for joints in rig.robot.state_topics if arm in joints.arms)
    rig.silent.update(one.name for one in heard.arms)  # all that its driver measures is in one message
    for _ in range(3):
        bad = rig.ear.newest()
        bad[rig.robot.arm_slices[arm.name]] = rng.choice([np.nan, np.inf])
        rig.report(heard.arms, bad)
    yield _react(rig)


@_fault("F15", "a measured position jumps", 40, _latch("state_jump", "jumped", published=False))
def _jump(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow()
    rig.offset[rng.choice(np.flatnonzero(rig.robot.turning))] = 0.3
    yield _react(rig)


@_fault(
    "F16", "the state of one arm is lost", 70, _latch("state_fresh", "no fresh state of arm", "no fresh state of arm")
)
def _state_lost(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow()
    rig.silent.add(str(rng.choice([arm.name for arm in rig.robot.arms])))
    took = rig.until(rig.held("state_fresh"), _WAIT_S, "the hold")
    _react(rig)
    yield took


@_fault("F17", "a second publisher of joint states", 1020, _latch("graph_guard", "/rogue", "/rogue"), 5)
def _second_driver(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    yield from _rogue(rig, rig.robot.arms[0].state_topic)


@_fault("F20", "two chunks that are not finite", 20, _latch("source_contract", "not finite"))
def _nonfinite_chunk(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow("policy")
    rig.quiet.add("policy")
    for wait_s in (0.02, 0.0):  # the reaction is due after the second
        chunk = rig.chunk()
        chunk.position[rng.integers(len(chunk.position)), rng.integers(rig.robot.dof)] = rng.choice(
            [np.nan, np.inf, 1e300]
        )
        rig.chunks.publish(chunk_msg(chunk, rig.robot.joint_names))
        rig.client.spin_for(wait_s)
    yield _react(rig)


@_fault("F21", "a chunk that lacks a joint, or of joints in another order", 20, _latch("source_contract", "joints"))
def _other_joints(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow("policy")
    chunk = rig.chunk()
    names = rig.robot.joint_names
    if rng.integers(2):
        rig.chunks.publish(chunk_msg(chunk, names[::-1]))
    else:
        rig.chunks.publish(chunk_msg(ActionChunk(chunk.stamp_ns, chunk.period_s, chunk.position[:, 1:]), names[1:]))
    yield _react(rig)


@_fault("F40", "the followed source falls silent", 120, _latch("source_fresh"))
def _silent_source(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow()
    rig.quiet.add("teleop")
    took = rig.until(rig.held("source_fresh"), _WAIT_S, "the hold")
    _react(rig)
    yield took


@_fault("F41", "stamps an hour ahead", 120, _latch("source_fresh"))
def _ahead(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow()
    rig.ahead_ns = 3_600_000_000_000
    took = rig.until(rig.held("source_fresh"), _WAIT_S, "the hold")
    _react(rig)
    yield took


@_fault("F43", "a second publisher of commands", 1020, _latch("graph_guard", "/rogue", "/rogue"), 5)
def _second_commander(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    yield from _rogue(rig, rig.robot.arms[-1].command_topic)


@_fault("F44", "a second teleoperation: samples of it that were followed", 0, _FOLLOWED, 5)
def _second_source(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
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
        yield 0.0 if moved < _STILL else float("inf")


@_fault("F45", "the emergency stop is pressed at speed, released and reset", 50, _PRESSED, 1000)
def _estop(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow(str(rng.choice(["teleop", "policy"])))
    rig.client.spin_for(rng.uniform(0, 0.1))
    future = rig.client.ask_bool("/command/estop", True)
    took = rig.until(lambda: rig.mode == "estop", _WAIT_S, "the stop")
    rig.until(future.done, _WAIT_S, "the answer")
    yield took
    rig.client.set_bool("/command/estop", False)


@_fault(
    "F46",
    "the emergency stop's heartbeat stops",
    170,
    _latch("estop_link", "on /estop", "on /estop, which should be repeated"),
)
def _heartbeat(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow()
    rig.quiet.add("heartbeat")
    yield _react(rig)


@_fault("F47", "arming and disarming: the answer", 1000, _DISARMED, 1000)
def _arming(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    if rig.mode != "disarmed":
        _disarm(rig)
    begun = time.monotonic()
    rig.until(rig.arm, _WAIT_S, "arming")
    took = (time.monotonic() - begun) * 1e3
    rig.until(lambda: rig.mode == "hold", _WAIT_S, "the hold")
    rig.until(lambda: rig.client.accepts("disarm"), _WAIT_S, "disarming")
    rig.until(lambda: rig.mode == "disarmed", _WAIT_S, "disarmed")
    yield took


@_fault("F50", "the source is switched at speed", 50, _FOLLOWED, 1000)
def _switch(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    if rig.mode not in ("policy", "teleop"):
        rig.follow()
    rig.client.spin_for(rng.uniform(0, 0.03))
    rig.source = "policy" if rig.mode == "teleop" else "teleop"
    rig.until(lambda: rig.client.accepts(f"use_{rig.source}"), _WAIT_S, "the switch")
    yield rig.until(lambda: rig.mode == rig.source, _WAIT_S, "the switch to be seen")


@_fault("F52", "the command node is stopped for 7.5 cycles or 500 ms", 50, _latch("loop_overrun", "ms late"))
def _overrun(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow()
    rig.send(signal.SIGSTOP)
    rig.client.spin_for(float(rng.choice([7.5 * rig.robot.control_period_s, 0.5])))
    rig.send(signal.SIGCONT)
    yield _react(rig)


@_fault("F54", "the command node is killed and started again: commands before it is armed", 0, _DISARMED, 3)
def _respawn(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow()
    rig.send(signal.SIGKILL)
    rig.client.spin_for(0.3)
    rig.start()
    heard = rig.ear.heard
    rig.client.spin_for(0.5)
    yield 0.0 if rig.ear.heard == heard else float("inf")


@_fault("F74", "another node named command: it ends", 3000, _latch("graph_guard", "already running"), 2)
def _twin(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow()
    log = rig.log.with_name("twin.log")
    with Graph([rig.command], log) as graph:
        twin = graph.processes["command"]
        rig.until(lambda: rig.mode == "fault", 20.0, "the fault")
        seen = time.monotonic()
        rig.until(lambda: twin.poll() is not None, 20.0, "the end of the second")
    said = log.read_text(encoding="utf-8")
    if twin.returncode != EXIT_CODE or "already running" not in said:
        raise GraphError(f"the second command node ended with {twin.returncode}: {said.strip()[-200:]}")
    yield (time.monotonic() - seen) * 1e3


@_fault("F76", "a publisher of another type: named when arming is asked for", 2020, _DISARMED, 3)
def _wrong_type(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    with rig.stranger("wrong") as stranger:
        _disarm(rig)
        stranger.publishes("/policy/chunk", "image")
        yield rig.until(lambda: rig.is_not_armed("speaks sensor_msgs/msg/Image"), 20, "the refusal")


@_fault("F77", "a parameter is changed while armed: refused", 1000, _FOLLOWED, 5)
def _parameter(rig: ChaosRig, rng: np.random.Generator) -> Iterator[float]:
    rig.follow()
    begun, said = time.monotonic(), "the parameter was changed"
    try:
        rig.client.set_parameters("command", safety="default")
    except GraphError as error:
        said = str(error)
    if "refused its parameters" not in said:
        raise GraphError(said)
    yield (time.monotonic() - begun) * 1e3


def _disarm(rig: ChaosRig) -> None:
    rig.follow()
    rig.until(lambda: rig.client.accepts("disarm"), _WAIT_S, "disarming")
    rig.until(lambda: rig.mode == "disarmed", _WAIT_S, "disarmed")


def _rogue(rig: ChaosRig, topic: str) -> Iterator[float]:
    """Let a second publisher of a topic appear."""
    with rig.stranger("rogue") as stranger:
        rig.follow()
        appeared_s = stranger.publishes(topic)
        _react(rig)
        yield (time.monotonic() - appeared_s) * 1e3
