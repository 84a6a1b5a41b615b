"""One demonstration in lockstep: the scripted operator teleoperates, and a bag records what a robot would publish."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from smp_bringup.action.teleop import Leaders, Tremor
from smp_bringup.arm import TELEOP_TOPIC
from smp_bringup.bag.messages import IMAGE, JOINT_STATE, image_cdr, joint_state_cdr
from smp_bringup.bag.writer import BagWriter
from smp_bringup.robot import Robot
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.lockstep import Lockstep
from smp_bringup.sim.simulator import Simulator
from smp_bringup.sim.world import World
from smp_bringup.tasks.experts import ScriptedOperator
from smp_bringup.tasks.state import STATE_NAMES
from smp_bringup.types import Command, FloatArray, Frame, JointSample
from smp_bringup.wire import OBJECTS_TOPIC

TAIL_S = 0.3
"""The recording goes on so long after success."""


def record_demonstration(
    world: World, robot: Robot, seed: int, folder: Path, noise: float, held_s: dict[str, float] | None = None
) -> bool:
    """Record the episode of `seed` to the bag `folder`, with tremor `noise` [rad]; return its success.

    `held_s` is told for how long what held the arms [s].
    """
    world.reset(seed)
    operator = ScriptedOperator(world.task, world.model, world.data, robot, seed)
    with episode_bag(world, folder, world.task.name, {"variation": world.task.variation_name}) as writer:
        held = record_led(world, operator.target, Tremor(robot, noise, seed), world.budget_s, writer)
    if held_s is not None:
        held_s |= held
    return world.succeeded()


def record_led(
    world: Simulator, target: Callable[[float], FloatArray], tremor: Tremor, budget_s: float, writer: BagWriter
) -> dict[str, float]:
    """Record one episode in which leaders lead the arms, until a little after it is solved.

    Args:
        world: where the episode has just begun.
        target: joint positions (J,) of the leaders at a time since then [s].
        tremor: of the hands that hold them.
        budget_s: an episode that is not solved by then is not [s].
        writer: takes what the robot would publish.

    Returns:
        For how long what held the arms [s], by check and reason.

    Raises:
        StoppedError: a check has stopped the arms.
    """
    robot = world.robot
    led = led_by_joints(robot)
    leaders = Leaders(led)
    loop = Lockstep(
        world,
        robot,
        on_state=lambda sample: write_states(writer, robot, sample),
        on_frame=lambda camera, frame: _write_frame(writer, robot, camera, frame),
        on_command=lambda command: _write_command(writer, robot, command),
    )
    objects_every = round(robot.action_period_s / robot.control_period_s)
    loop.start(Mode.TELEOP)
    remaining_s = budget_s
    while remaining_s > 0:
        if loop.tick % objects_every == 0:
            write_objects(writer, loop.now_ns, world)
        leader = target(world.time_s)
        write_leaders(writer, robot, loop.now_ns, leader)
        for arm in led.arms:
            said = arm.leader_joints.positions(leader[robot.arm_slices[arm.name]])
            merged = leaders.push(arm.name, loop.now_ns, arm.leader_joints.names, said)
        if merged is not None:
            wanted = tremor.step(merged)
            _write_joints(writer, TELEOP_TOPIC, loop.now_ns, robot.joint_names, wanted.position, wanted.velocity)
            loop.command.on_teleop(wanted, loop.now_ns, loop.now_ns)
        loop.advance()
        remaining_s -= robot.control_period_s
        if world.succeeded():
            remaining_s = min(remaining_s, TAIL_S)
    return loop.held_s


def led_by_joints(robot: Robot) -> Robot:
    """Return the robot with a leader arm for each arm, if it has none: the scripted operator moves joints."""
    if robot.has_leader_arms:
        return robot
    arms = tuple(replace(arm, leader=None, leader_topic=f"/scripted/{arm.name}") for arm in robot.arms)
    return replace(robot, arms=arms)


@contextmanager
def episode_bag(
    world: Simulator, folder: Path, task: str, notes: Mapping[str, str] | None = None
) -> Iterator[BagWriter]:
    """Open the bag of an episode: closed with its outcome, or discarded if an error leaves the block.

    Args:
        world: whose robot is recorded, and that says whether the episode was solved.
        folder: of the bag.
        task: name of one of config/tasks, or the task in words.
        notes: more of the bag's metadata.
    """
    writer = BagWriter(folder, world.robot, task)
    try:
        yield writer
        writer.close(world.succeeded(), notes)
    except BaseException:
        writer.discard()
        raise


def _write_joints(
    writer: BagWriter,
    topic: str,
    at_ns: int,
    names: tuple[str, ...],
    position: FloatArray,
    velocity: FloatArray,
) -> None:
    writer.write(topic, JOINT_STATE, at_ns, joint_state_cdr(at_ns, names, position, velocity))


def write_states(writer: BagWriter, robot: Robot, sample: JointSample) -> None:
    """Write what the drivers measure of all joints (J,), a message for each of their topics."""
    for joints in robot.state_topics:
        position, velocity = joints.positions(sample.position), joints.velocities(sample.velocity)
        _write_joints(writer, joints.topic, sample.stamp_ns, joints.names, position, velocity)


def _write_frame(writer: BagWriter, robot: Robot, camera: str, frame: Frame) -> None:
    topic = robot.camera(camera).raw_topic
    writer.write(topic, IMAGE, frame.stamp_ns, image_cdr(frame.stamp_ns, camera, frame.image))


def write_objects(writer: BagWriter, at_ns: int, world: Simulator) -> None:
    """Write the object poses of this instant."""
    objects = world.objects()
    writer.write(OBJECTS_TOPIC, JOINT_STATE, at_ns, joint_state_cdr(at_ns, STATE_NAMES[: len(objects)], objects))


def write_leaders(writer: BagWriter, robot: Robot, at_ns: int, leader: FloatArray) -> None:
    """Write the joint positions (J,) of all leaders, a message for each of their topics."""
    for joints in robot.leader_topics:
        position = joints.positions(leader)
        _write_joints(writer, joints.topic, at_ns, joints.names, position, np.zeros_like(position))


def _write_command(writer: BagWriter, robot: Robot, command: Command) -> None:
    for joints in robot.command_topics:
        told = joints.positions(command.position), joints.velocities(command.velocity)
        _write_joints(writer, joints.topic, command.stamp_ns, joints.names, *told)
