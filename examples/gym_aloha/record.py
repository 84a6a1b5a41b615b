"""Record demonstrations of a task of gym-aloha: python examples/gym_aloha/record.py transfer_cube --episodes 50.

Bags of episodes that the environment did not call solved are labelled failures, which `smp train` leaves out.
"""

from argparse import ArgumentParser
from pathlib import Path

from arguments import episodes_of, seed_of
from motions import plan
from world import BUDGET_S, OBJECTS, TASKS, AlohaWorld

from smp_bringup.action.teleop import Tremor
from smp_bringup.errors import StoppedError, UnreachableError
from smp_bringup.lerobot.uncaught import say_errors
from smp_bringup.sim.demonstration import episode_bag, record_led
from smp_bringup.sim.seeds import demonstration_seed
from smp_bringup.tasks.state import SLOTS


def record(world: AlohaWorld, seed: int, folder: Path, noise: float) -> bool:
    """Record the episode of `seed` to the bag `folder`, with tremor `noise` [rad]; return whether it was solved.

    Raises:
        StoppedError: a check has stopped the arms.
        UnreachableError: an object is out of reach.
    """
    world.reset(seed)
    position = world.objects().reshape(SLOTS, -1)[: len(OBJECTS[world.task]), :3]
    motion = plan(world.task, position)
    with episode_bag(world, folder, TASKS[world.task]) as bag:
        record_led(world, motion.target, Tremor(world.robot, noise, seed), BUDGET_S, bag)
    return world.succeeded()


def main() -> None:
    """Record what is asked for, but for the bags that are there already."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--episodes", type=episodes_of, default=50)
    parser.add_argument("--seed", type=seed_of, default=1000)
    parser.add_argument("--noise", type=float, default=0.01, help="tremor of every second episode [rad]")
    parser.add_argument("--out", type=Path, default=Path("data/gym_aloha"))
    asked = parser.parse_args()
    world, solved, tried = AlohaWorld(asked.task), 0, 0
    for i in range(asked.episodes):
        folder = asked.out / asked.task / f"episode_{asked.seed}_{i:05d}"
        if folder.exists():
            continue
        tried += 1
        try:
            solved += record(world, demonstration_seed(asked.seed, i), folder, asked.noise * (i % 2))
        except (StoppedError, UnreachableError) as error:
            print(f"episode {i}: {error}")
    print(f"{asked.task}: {solved} of {tried} solved, in {asked.out / asked.task}")


if __name__ == "__main__":
    say_errors()
    main()
