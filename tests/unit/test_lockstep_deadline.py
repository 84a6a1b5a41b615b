"""Deadlines in lockstep (F25): an inference takes the simulated time that a test says, and no clock is read."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from smp_bringup.observation.normalizer import Normalizer
from smp_bringup.policy.build import build_network
from smp_bringup.policy.checkpoint import load_policy
from smp_bringup.sim.lockstep import START_NS
from smp_bringup.sim.rollout import Timing, rollout
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS
from smp_bringup.tasks.state import STATE_SIZE
from smp_bringup.training.save import save_checkpoint
from smp_bringup.training.trainer import Trained
from smp_bringup.types import seconds

FULL, FEWER_STEPS, FEWER_EXPERTS = 16, 8, 2
"""Denoiser calls of four steps of four experts, of half the steps, and of one expert alone."""


@pytest.fixture(scope="module")
def policy(robot, small_policies, tmp_path_factory):
    """A policy of the state track with random weights, of which all four experts are always active."""
    config = replace(small_policies["smp"], cameras=(), track="state", denoise_steps=4, replan_s=0.04)
    torch.manual_seed(3)
    network = build_network(config, robot.dof, STATE_SIZE)
    near_home = Normalizer(np.array(robot.joint_array("home")), np.full(robot.dof, 0.02))
    folder = tmp_path_factory.mktemp("state") / "model"
    save_checkpoint(Trained(network, near_home, {"steps": 0.0}), robot, folder, "# random weights\n")
    return load_policy(folder, robot, changes=["gate.coverage=1.0"])


@pytest.fixture(scope="module")
def world(robot):
    return World(TASKS["press_two_buttons"](), robot)


@dataclass(frozen=True)
class PerCall(Timing):
    """Every denoiser call takes 10 ms."""

    def took_s(self, gate):
        return 0.01 * float(gate.denoiser_calls.sum())


@dataclass(frozen=True)
class Busy(Timing):
    """The machine is busy with something else for the first 1.4 s of the episode, and inference takes 300 ms."""

    def took_s(self, gate):
        return 0.3 if seconds(gate.stamp_ns - START_NS) < 1.4 else 0.02


def calls(result):
    return [int(gate.denoiser_calls.sum()) for gate in result.gates]


def test_late_inferences_become_cheaper_until_they_fit_and_what_fits_is_tried_again(world, policy, robot):
    result = rollout(world, policy, robot, 1, timing=PerCall(deadline_s=0.05))
    spell = [*[FEWER_EXPERTS] * 20, FEWER_STEPS]  # twenty in less than half the deadline: one level up, and a miss
    assert calls(result)[:44] == [FULL, FEWER_STEPS, *spell, *spell]
    assert result.planned["chunks"] == len(result.gates)
    assert result.planned["deadline/hold"] == 0


def test_with_costs_measured_no_inference_is_late_and_none_is_tried_that_would_be(world, policy, robot):
    result = rollout(world, policy, robot, 1, timing=PerCall(deadline_s=0.05, costs_s=(0.16, 0.08, 0.02)))
    assert set(calls(result)) == {FEWER_EXPERTS}
    assert result.planned == {"chunks": len(result.gates), "deadline/fewer_experts": len(result.gates)}


def test_nothing_is_sent_late_at_the_last_level_and_everything_comes_back(world, policy, robot):
    result = rollout(world, policy, robot, 1, timing=Busy(deadline_s=0.1))
    late, back = [FULL, FEWER_STEPS, *[FEWER_EXPERTS] * 3], [*[FEWER_EXPERTS] * 40, *[FEWER_STEPS] * 20]
    assert calls(result)[:70] == [*late, *back, *[FULL] * 5]
    assert result.planned == {
        "chunks": len(result.gates) - 2,
        "deadline/misses": 5,
        "deadline/fewer_steps": 21,
        "deadline/fewer_experts": 21,
        "deadline/hold": 2,
    }
    # The third chunk, of 0.60 s, is the last one sent: it lasts 0.64 s, and the sixth, of 1.48 s, takes 20 ms.
    assert result.pause_s == pytest.approx(1.5 - 1.24, abs=0.02)
    assert not result.fault


def test_without_a_deadline_every_chunk_is_sent_however_late(world, policy, robot):
    result = rollout(world, policy, robot, 1, timing=Busy())
    assert set(calls(result)) == {FULL}
    assert result.planned == {"chunks": len(result.gates)}
    assert result.pause_s == 0.0
