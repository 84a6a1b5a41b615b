"""Prints how many parameters camera policies of config/policies have: python tools/count_parameters.py smp dibm ..."""

import json
import sys

from smp_bringup.policy.build import build_network
from smp_bringup.robot import Robot, load_robot
from smp_bringup.training.config import load_run


def count(name: str, robot: Robot) -> dict[str, int]:
    """Return the parameters of a camera policy: all, those of one expert, and those that no chunk reads."""
    network = build_network(load_run(name, robot).policy, robot.dof)
    total, each = network.parameter_counts()
    return {"total": total, "per_expert": each, "idle": network.idle_parameters()}


if __name__ == "__main__":
    aloha = load_robot("aloha")
    json.dump({name: count(name, aloha) for name in sys.argv[1:]}, sys.stdout, indent=1)
    print()
