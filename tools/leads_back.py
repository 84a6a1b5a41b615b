"""Measures how much of a displacement of the arms a state-track policy keeps: python tools/leads_back.py BAGS MODEL ...

A policy that says where the joints are to be keeps nothing of it where it is right; one whose numbers are told from the
measured joints keeps all that it has not learnt to take back, and the next chunk begins there. Takes the episodes of
the folder BAGS from the `FIRST` on: the model must not have been trained with them.
"""

from argparse import ArgumentParser
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from smp_bringup.errors import BagError, ConfigError
from smp_bringup.lerobot.uncaught import say_errors
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.robot import Robot, load_robot
from smp_bringup.training.dataset import Episode, read_episode
from smp_bringup.types import FloatArray, Observation

FIRST, EPISODES, EVERY = 60, 8, 8
"""From which bag on, how many that can be used, and every how manyth sample of one."""
AWAY = 0.03
"""Standard deviation of the displacement of each joint [rad]."""


def usable(bags: Path, robot: Robot, policy: AbstractPolicy) -> Iterator[Episode]:
    """Yield the demonstrations in a folder that are no failures."""
    for folder in sorted(bags.iterdir() if bags.is_dir() else ())[FIRST:]:
        try:
            yield read_episode(folder, robot, policy.config)
        except BagError:
            continue


def chunk(policy: AbstractPolicy, position: FloatArray, objects: FloatArray) -> FloatArray:
    """Return the chunk (T, J) for joints (J,) and objects (D,); all policies draw the same noise."""
    seen = Observation(1, {}, position[None], np.zeros((1, len(position))), objects[None])
    return policy.infer(seen, 0)[0].position


def measured(robot: Robot, policy: AbstractPolicy, episodes: list[Episode]) -> tuple[FloatArray, FloatArray]:
    """Return per step of a chunk (T,) the share that is kept, and the root mean square error of the joints [rad]."""
    rng, kept, off, arms = np.random.default_rng(0), [], [], robot.turning
    for episode in episodes:
        for frame in range(0, len(episode.stamps), EVERY):
            position, objects = np.asarray(episode.state[frame], float), np.asarray(episode.objects[frame], float)
            away = rng.normal(0, AWAY, robot.dof) * arms
            said = chunk(policy, position, objects)
            moved = chunk(policy, position + away, objects) - said
            kept.append(moved @ away / (away @ away))
            off.append((said - episode.action[frame])[:, arms])
    return np.mean(kept, axis=0), np.sqrt(np.mean(np.square(off), axis=(0, 2)))


def main() -> None:
    """Print a line for each model: at the first, the middle and the last step.

    Raises:
        ConfigError: a model is of the camera track, or there are no episodes for it.
    """
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("bags", type=Path)
    parser.add_argument("models", nargs="+")
    asked = parser.parse_args()
    robot = load_robot("aloha")
    for model in asked.models:
        policy = load_policy(Path(model), robot)
        if policy.config.track != "state":
            raise ConfigError(f"{model} is of the {policy.config.track} track: name one of the state track")
        episodes = list(islice(usable(asked.bags, robot, policy), EPISODES))
        if not episodes:
            raise ConfigError(f"{asked.bags} has no demonstration for {model} from bag {FIRST} on: record more")
        kept, off = measured(robot, policy, episodes)
        steps = [0, len(kept) // 2, -1]
        said = f"kept {kept[steps].round(2)}, off {off[steps].round(3)} rad"
        print(f"{model} {policy.config.actions}: {said}", flush=True)


if __name__ == "__main__":
    say_errors()
    main()
