"""One demonstration of the state track: no images, every topic at the action rate, the follower of `state_track`."""

from pathlib import Path

from smp_bringup.action.teleop import Tremor
from smp_bringup.bag.writer import BagWriter
from smp_bringup.robot import Robot
from smp_bringup.sim.demonstration import TAIL_S, episode_bag, write_leaders, write_objects, write_states
from smp_bringup.sim.lockstep import START_NS
from smp_bringup.sim.state_track import Follower
from smp_bringup.sim.world import World
from smp_bringup.tasks.experts import ScriptedOperator
from smp_bringup.types import JointSample, nanoseconds


def record_state_demonstration(world: World, robot: Robot, seed: int, folder: Path, noise: float) -> bool:
    """Record the episode of `seed` to the bag `folder`, with tremor `noise` [rad]; return its success."""
    world.reset(seed)
    operator = ScriptedOperator(world.task, world.model, world.data, robot, seed)
    tremor, follower = Tremor(robot, noise, seed), Follower(robot, robot.joint_array("home"))
    ticks_per_action = round(robot.action_period_s / robot.control_period_s)
    tick, remaining_s = 0, world.budget_s
    with episode_bag(world, folder, world.task.name, {"variation": world.task.variation_name}) as writer:
        while remaining_s > 0:
            now_ns = START_NS + tick * nanoseconds(robot.control_period_s)
            leader = operator.target(world.time_s)
            if tick % ticks_per_action == 0:
                _write(writer, world, robot, now_ns)
                write_leaders(writer, robot, now_ns, leader)
            world.set_setpoint(follower.follow(tremor.step(JointSample(now_ns, leader, leader)).position))
            world.step(robot.control_period_s)
            tick += 1
            remaining_s -= robot.control_period_s
            if world.succeeded():
                remaining_s = min(remaining_s, TAIL_S)
    return world.succeeded()


def _write(writer: BagWriter, world: World, robot: Robot, now_ns: int) -> None:
    position, velocity = world.joint_state()
    write_states(writer, robot, JointSample(now_ns, position, velocity))
    write_objects(writer, now_ns, world)
