"""Judge a policy by gym-aloha's reward: python examples/gym_aloha/evaluate.py transfer_cube MODEL --episodes 50.

Each episode runs what is deployed: aligner, observer, policy, seam, command core with its checks.
"""

import json
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from arguments import episodes_of, seed_of
from PIL import Image
from world import BUDGET_S, TASKS, AlohaWorld

from smp_bringup.errors import StoppedError
from smp_bringup.lerobot.uncaught import say_errors
from smp_bringup.output import try_file
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.base import AbstractPolicy
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.safety.modes import Mode
from smp_bringup.sim.lockstep import Lockstep
from smp_bringup.sim.rollout import PolicyDriver, Timing
from smp_bringup.sim.seeds import evaluation_seed
from smp_bringup.stats import wilson
from smp_bringup.types import ImageArray

_FRAME_S = 0.8
"""Between two pictures of a film."""


def episode(
    world: AlohaWorld, policy: AbstractPolicy, seed: int, film: list[ImageArray] | None = None
) -> dict[str, Any]:
    """Run the episode of `seed` until it is solved or its time is up; return how it went.

    Pictures are added to `film`, if given.
    """
    world.reset(seed)
    loop, fault = Lockstep(world, world.robot), ""
    driver = PolicyDriver(loop, policy, seed, Timing(), TASKS[world.task])
    try:
        loop.start(Mode.POLICY)
        while world.time_s < BUDGET_S - 1e-6 and not world.succeeded():
            if film is not None and world.time_s >= len(film) * _FRAME_S - 1e-6:
                film.append(world.render(world.robot.cameras[0].name))
            driver.tick()
            loop.advance()
    except StoppedError as error:
        fault = str(error)
    held_s = Counter[str]()
    for why, duration_s in loop.held_s.items():
        held_s[why.partition(":")[0]] += duration_s
    return {
        "seed": seed,
        "success": world.succeeded(),
        "reward": world.best_reward,
        "time_s": round(world.time_s, 2),
        "fault": fault,
        "held_s": {check: round(duration_s, 2) for check, duration_s in held_s.items()},
    }


def evaluate(world: AlohaWorld, policy: AbstractPolicy, episodes: int, seed: int) -> dict[str, Any]:
    """Return what came of episodes on layouts that no demonstration shows, with the 95 % Wilson interval."""
    results = [episode(world, policy, evaluation_seed(seed, i)) for i in range(episodes)]
    successes = sum(result["success"] for result in results)
    return {
        "task": world.task,
        "kind": policy.config.kind,
        "track": policy.config.track,
        "evaluation_seed": seed,
        "episodes": episodes,
        "successes": successes,
        "interval": [round(end, 4) for end in wilson(successes, episodes)],
        "results": results,
    }


def main() -> None:
    """Evaluate, print, and write what is asked for."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("model", help="folder of a trained policy")
    parser.add_argument("--episodes", type=episodes_of, default=50)
    parser.add_argument("--seed", type=seed_of, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--film", type=Path, help="PNG of the first episode that was solved, or of the first")
    asked = parser.parse_args()
    for file in (asked.json, asked.film):
        try_file(file)
    world = AlohaWorld(asked.task)
    policy = build_policy(find_model(asked.model), world.robot)
    report = evaluate(world, policy, asked.episodes, asked.seed)
    low, high = report["interval"]
    print(f"{asked.task}: {report['successes']}/{asked.episodes} ({low:.2f} - {high:.2f})")
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if asked.film:
        film: list[ImageArray] = []
        first = next((result for result in report["results"] if result["success"]), report["results"][0])
        episode(world, policy, first["seed"], film)
        Image.fromarray(np.concatenate(film, axis=1)).save(asked.film)


if __name__ == "__main__":
    say_errors()
    main()
