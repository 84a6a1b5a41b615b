"""Going on from a trained policy: few-shot (everything is tuned) or composition (SMP's router alone)."""

import dataclasses
from pathlib import Path

from smp_bringup.errors import ModelError
from smp_bringup.manifest import read_checked
from smp_bringup.policy.build import trained_network
from smp_bringup.policy.checkpoint import WEIGHTS, lacks, read_config, read_normalizer
from smp_bringup.policy.networks import AbstractNetwork
from smp_bringup.robot import Robot
from smp_bringup.training.config import RunConfig
from smp_bringup.training.start import Start


def start_from(folder: Path, run: RunConfig, robot: Robot, only_router: bool) -> tuple[RunConfig, Start]:
    """Return the run with the policy of a checkpoint, and the network and normaliser to go on from.

    Args:
        folder: checkpoint.
        run: whose training settings are kept.
        robot: that the new demonstrations were recorded on.
        only_router: freeze all but SMP's router (skill composition).

    Raises:
        ModelError: the checkpoint is broken, is of another policy than the run or tells actions otherwise, or has no
            router.
    """
    files = read_checked(folder)
    policy = read_config(files)
    if policy.kind != run.policy.kind:
        raise ModelError(f"'{folder}' is a {policy.kind} policy, the run trains {run.policy.kind}: name its own run")
    if run.policy.actions not in ("absolute", policy.actions):
        raise ModelError(
            f"'{folder}' tells actions as {policy.actions}, not {run.policy.actions}: leave policy.actions out, or "
            "train without --start"
        )
    if WEIGHTS not in files:
        raise ModelError(f"'{folder}' was shipped without {WEIGHTS}: it can be run, not trained on; train it anew")
    if lack := lacks(policy, robot):
        raise ModelError(f"'{folder}' sees {lack}")
    network = trained_network(files[WEIGHTS], policy, robot.dof, f"'{folder}/{WEIGHTS}'")
    if only_router:
        _freeze_all_but_router(network)
    return dataclasses.replace(run, policy=policy), Start(network, read_normalizer(files, policy, robot))


def _freeze_all_but_router(network: AbstractNetwork) -> None:
    routers = network.router_parts()
    if not routers:
        raise ModelError(f"a {network.config.kind} policy has no router to train alone: leave out --only-router")
    network.requires_grad_(False)
    for router in routers:
        router.requires_grad_(True)
