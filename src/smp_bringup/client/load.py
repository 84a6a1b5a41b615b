"""What the graph is loaded with: a robot with large cameras, and a small policy for it with random weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from smp_bringup.config import read_yaml
from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.paths import named_config
from smp_bringup.policy.build import build_network
from smp_bringup.policy.smp import SmpConfig, SmpPolicyConfig
from smp_bringup.robot import load_robot
from smp_bringup.training.save import save_checkpoint
from smp_bringup.training.trainer import Trained

LOADS = {"std": 2, "max": 3}
"""Cameras of 640x480 at 30 Hz per load; two arms at 100 Hz, a policy at 10 Hz and commands at 100 Hz in both."""
_CAMERA = {"width": 640, "height": 480, "rate_hz": 30}
_REACH = 0.03
"""[rad], [m]: chunks of random weights stay so near the home pose."""


@dataclass(frozen=True)
class Load:
    """Files that the nodes are started with."""

    robot: Path
    model: Path


def prepare(kind: str, folder: Path, base: str = "aloha") -> Load:
    """Write the robot file and the checkpoint of a load into `folder`."""
    data: dict[str, Any] = read_yaml(named_config("robots", base))
    cameras = LOADS[kind]
    data["cameras"] = [{**camera, **_CAMERA} for camera in data["cameras"][:cameras]]
    data["state_rate_hz"] = 100
    path = folder / f"{base}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    robot = load_robot(str(path))
    seen = tuple(c.name for c in robot.cameras)
    config = SmpPolicyConfig("smp", seen, replan_s=0.1, noise=0.0, smp=SmpConfig("motion"))
    network = build_network(config, robot.dof)
    normalizer = Normalizer(np.array(robot.joint_array("home")), np.full(robot.dof, _REACH))
    save_checkpoint(Trained(network, normalizer, {"steps": 0.0}), robot, folder / "model", "# random weights\n")
    return Load(path, folder / "model")
