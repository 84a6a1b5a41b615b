"""An operator takes over from the policy while an episode is recorded; what training and the verdict make of it."""

import signal
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
import yaml

from smp_bringup.bag.aligned import leader_trajectory
from smp_bringup.bag.commanders import Taught, commanders
from smp_bringup.bag.reader import open_bag
from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import graph_client
from smp_bringup.client.take_over import TakeOver
from smp_bringup.config import read_yaml
from smp_bringup.errors import BagError
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.paths import named_config
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import QualityConfig
from smp_bringup.training.dataset import read_episode
from smp_bringup.training.job import Training, TrainingJob

TASK = "press_two_buttons"
PATIENT = {"state_timeout_s": 0.5, "source_timeout_s": 0.5, "hold_grace_s": 5, "overrun_cycles": 50}
"""How long a machine may stall is the business of other tests."""


@pytest.fixture(scope="module")
def graph(checkpoints, tmp_path_factory):
    out = tmp_path_factory.mktemp("interventions")
    safety = out / "patient.yaml"
    safety.write_text(yaml.safe_dump(read_yaml(named_config("safety", "default")) | PATIENT))
    model = str(checkpoints["smp"][0])
    nodes = build_graph(model=model, safety=str(safety), sim=True, task=TASK, teleop=True, record=str(out))
    with Graph(nodes, out / "log") as running, graph_client() as client:
        yield running, client, out


def simulated(graph, seconds):
    """Let the simulator go on for so long."""
    running, client, _ = graph
    end = float(client.sim_state["time_s"]) + seconds
    client.wait(lambda: float(client.sim_state["time_s"]) > end or client.latched, 60, "the time", running.check)


def recorded(graph, drive):
    """Record an episode that begins with the policy, and that `drive` goes on with; None where a stall latched it."""
    running, client, out = graph
    with suppress(GraphError):
        client.trigger("recorder/discard")  # what a test that failed left open
    client.start_episode(TASK, 3, "policy", running.check)
    client.set_parameters("recorder", task=TASK)
    client.trigger("recorder/start")
    simulated(graph, 1.0)
    drive()
    latched = client.latched
    client.set_bool("recorder/success", True)
    folder = client.trigger("recorder/stop").split()[1]
    return None if latched else open_bag(out / TASK / folder.rpartition("/")[2])


def take_over(graph):
    """Take over as an operator does, by h and t; and by t again where a stall let go of the leaders at once."""
    running, client, _ = graph
    over = TakeOver(client)
    over.hold()  # from rest leaders may be farther away
    client.wait(lambda: client.command_state["mode"] == "hold" or client.latched, 60, "the hold", running.check)
    said = [over.ask()]

    def led():
        said.append(over.look())
        return client.command_state["mode"] == "teleop" or client.latched

    for _ in range(6):
        with suppress(GraphError):
            client.wait(led, 10, "the operator to be followed", running.check)
            return
        if not said[-1]:  # taken over, and held again
            said.append(over.ask())
    raise GraphError(f"the operator is not followed: {client.command_state}, answers {[*filter(None, said)][-5:]}")


def intervened(graph):
    _, client, _ = graph

    def drive():
        take_over(graph)
        client.trigger("sim/operate")
        simulated(graph, 1.5)

    return recorded(graph, drive)


def test_what_an_operator_took_over_is_a_correction_and_what_the_policy_did_is_not_learned(
    graph, robot, small_policies
):
    bag = next(filter(None, (intervened(graph) for _ in range(10))))
    who = commanders(bag)
    assert who.policy
    episode = read_episode(bag.path, robot, small_policies["smp"])
    assert {*episode.taught} == {Taught.NOTHING, Taught.CORRECTION}
    assert [a for a, b in pairwise(episode.taught) if a != b] == [Taught.NOTHING]  # once, from the policy on
    stamps, leader = leader_trajectory(bag, robot)
    for row in np.flatnonzero(episode.taught)[:5]:
        wanted = [np.interp(episode.stamps[row] - stamps[0], stamps - stamps[0], column) for column in leader.T]
        np.testing.assert_allclose(episode.action[row, 0], wanted, atol=1e-2)
    assert "leader_offset" not in judge_bag(bag, robot, QualityConfig()).notes()["reasons"]
    job = TrainingJob(bag.path.parent, "smp", rejected=True, corrections=3.0)
    assert "--corrections 3" in job.command()
    assert Training(job).data.corrections == (episode.taught == Taught.CORRECTION).sum()


def test_a_rollout_of_the_policy_alone_is_recorded_and_not_learned_from(graph, robot, small_policies):
    bag = next(filter(None, (recorded(graph, lambda: None) for _ in range(10))))
    with pytest.raises(BagError, match="was driven by a policy"):
        read_episode(bag.path, robot, small_policies["smp"])
    assert "leader_offset" not in judge_bag(bag, robot, QualityConfig()).notes()["reasons"]


def ran(graph):
    """Take over from a `smp run`; return its exit code and what it said."""
    running, client, _ = graph
    client.start_episode(TASK, 3, "teleop", running.check)
    client.wait(lambda: client.trigger("command/disarm") == "disarmed", 60, "the arms to rest", running.check)
    command = [sys.executable, "-m", "smp_bringup.cli.main", "run"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        began = iter(process.stdout.readline, "")
        assert any(line.startswith("following the policy") for line in began)
        take_over(graph)
        assert any(line.startswith(("the operator took over", "ended")) for line in began)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    return process.returncode, said


def test_a_run_goes_on_while_an_operator_leads_and_does_not_take_the_arms_from_them(graph):
    _, client, _ = graph
    _, said = next(filter(lambda ended: ended[0] == 0, (ran(graph) for _ in range(10))))
    assert "stopped; the operator goes on" in said
    assert client.command_state["mode"] == "teleop"
