"""The recorder node as a process: killed, told to stop, on a full disk; live replay against offline."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import Joy

from smp_bringup.bag.aligned import aligned_sets
from smp_bringup.bag.reader import open_bag
from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import graph_client
from smp_bringup.client.replay import replay_live
from smp_bringup.graph import NodeSpec
from smp_bringup.launcher import Graph
from smp_bringup.nodes import qos
from smp_bringup.nodes.recorder_node import LOST
from smp_bringup.observation.builder import to_observation_size
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import load_recording
from smp_bringup.replay.run import chunks_at
from smp_bringup.sim.demonstration import record_demonstration
from smp_bringup.sim.seeds import demonstration_seed
from smp_bringup.sim.world import World
from smp_bringup.tasks import TASKS

sys.path.insert(0, str(Path(__file__).parent))

from recorder_kills import Robot, kills

START_S = 60


@pytest.fixture
def client():
    with graph_client() as client:
        yield client


@pytest.fixture
def recording(client, robot, tmp_path):
    """A function that starts a recorder and what it hears, and begins an episode."""
    graphs = []

    def begin(out, **parameters):
        graph = Graph([NodeSpec("recorder", {"out": str(out), "task": "test", **parameters})], tmp_path / "log")
        graphs.append(graph)
        source = Robot(client, robot, cameras=True)
        heard = lambda: client.service_ready("/recorder/start") and source.ready()  # noqa: E731
        client.wait(heard, START_S, "the recorder", graph.check)
        client.trigger("/recorder/start", START_S)
        return graph, source

    yield begin
    for graph in graphs:
        graph.stop()


def test_a_kill_at_any_time_costs_at_most_a_second_of_any_topic():
    for ages in kills(2, seed=1):
        assert max(ages.values()) <= 1.0, ages


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_even_twice_closes_the_bag_cleanly(number, recording, client, tmp_path):
    graph, source = recording(tmp_path)
    before = source.tick
    client.wait(lambda: source.tick > before + 60, 60, "some messages", graph.check)
    process = graph.processes["recorder"]
    process.send_signal(number)
    process.send_signal(number)
    assert process.wait(60) == 0
    bag = open_bag(tmp_path / "test/episode_00000")
    assert bag.verify().messages > 100
    judged = judge_bag(bag, bag.robot(), load_recording("default").quality).notes()
    assert judged == {name: bag.episode[name] for name in judged}  # the same verdict as on the disk
    assert "missing: /follower_left/joint_commands: no message" in judged["reasons"]


def test_the_verdict_is_there_within_two_seconds_and_a_pedal_gives_it(recording, client, tmp_path):
    graph, source = recording(tmp_path)
    pedal = client.create_publisher(Joy, "/recorder/pedal", qos.OBSERVATION)
    before = source.tick
    client.wait(lambda: source.tick > before + 200 and pedal.get_subscription_count() > 0, 60, "messages", graph.check)
    pedal.publish(Joy(buttons=[1, 0, 0]))
    pressed = time.monotonic()
    folder = tmp_path / "test/episode_00000"
    client.wait(folder.exists, 60, "the bag", graph.check)
    took = time.monotonic() - pressed
    assert took < 5, took  # two seconds on an idle machine
    bag = open_bag(folder)
    assert (bag.outcome, "quality" in bag.episode) == ("success", True)
    assert "missing: /follower_left/joint_commands: no message" in bag.episode["reasons"]


def test_a_full_disk_is_told_and_everything_before_it_is_readable(recording, client, tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", mount], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        settings = tmp_path / "settings.yaml"
        settings.write_text("storage: {min_free_gib: 0.0, min_free_s: 0.0, reserve_mib: 2.0}\n")
        graph, source = recording(mount, settings=str(settings))
        rng = np.random.default_rng(0)
        source.roll = lambda: rng.integers(0, 256, (128, 128, 3), np.uint8)
        folder = mount / "test/episode_00000"
        client.wait(folder.exists, 60, "the disk to be full", graph.check)
        bag = open_bag(folder)
        assert bag.episode["truncated"] == "disk_full"
        assert bag.verify().messages > 100
        process = graph.processes["recorder"]
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == LOST
    finally:
        graph.stop()
        subprocess.run(["umount", mount], check=True)


def test_live_and_offline_agree_on_the_same_observations(robot, checkpoints, tmp_path):
    from smp_bringup.policy.checkpoint import load_policy

    world = World(TASKS["press_two_buttons"](), robot)
    record_demonstration(world, robot, demonstration_seed(0, 1), tmp_path / "bag", noise=0.0)
    world.close()
    model = checkpoints["smp"][0]
    bag = open_bag(tmp_path / "bag")
    # A chunk is then a function of its observation, live as offline.
    alone = {"seam": "latest", "deadline_s": 10.0}
    heard = replay_live(tmp_path / "bag", str(model), "aloha", robot, tmp_path / "log", 6.0, **alone)
    assert heard.exit_code == 0
    sets = {s.stamp_ns: to_observation_size(s, robot) for s in aligned_sets(bag, robot)}

    def same(stamp_ns):
        """Whether live and offline sync saw the same: a message that is lost on the way changes what is paired."""
        live, offline = heard.observations.get(stamp_ns, {}), sets.get(stamp_ns)
        if offline is None or len(live) != len(robot.cameras) + 1:
            return False
        images = all(np.array_equal(live[name], image) for name, image in offline.images.items())
        return images and np.allclose(live["joints"], offline.position, rtol=0, atol=1e-9)

    policy = load_policy(model, robot)
    assert policy.config.observation_steps == 1
    stamps = [chunk.stamp_ns for chunk in heard.chunks if same(chunk.stamp_ns)]
    offline = chunks_at(bag, policy, robot, stamps)
    assert stamps, (len(heard.chunks), len(heard.observations), len(sets))  # a slow machine hears a few alike, not many
    for chunk in heard.chunks:
        if chunk.stamp_ns in offline:
            np.testing.assert_allclose(chunk.position, offline[chunk.stamp_ns].position, rtol=0, atol=1e-4)


def test_an_episode_lies_in_the_folder_that_was_named_whatever_its_name(recording, client, tmp_path):
    """Parameters are YAML: a `#` would end the path, and `: ` would make a mapping of it."""
    folder = tmp_path / """a #1: [x], 'y" ü? \\z"""
    _, source = recording(folder)
    client.wait(lambda: source.tick > 20, 60, "some messages")
    client.trigger("/recorder/stop")
    assert [path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.mcap")] == [folder.name]
    assert open_bag(folder / "test/episode_00000").verify().messages > 0


def test_what_could_not_be_recorded_is_refused_when_it_is_set(recording, client, tmp_path):
    recording(tmp_path / "bags")
    for given, said in (
        ({"task": "fold*0"}, r"task queue: 'fold\*0' must be a task"),
        ({"task": "!?"}, r"task '!\?' has no letter or digit"),
        ({"out": "/dev/null/x"}, "cannot write to '/dev/null/x'"),
    ):
        with pytest.raises(GraphError, match=said):
            client.set_parameters("recorder", **given)
    client.set_parameters("recorder", task="fold the towel*2", out=str(tmp_path / "others"))


def test_a_parameter_of_no_type_that_there_is_costs_one_line(recording, client, tmp_path):
    graph, _ = recording(tmp_path / "bags")
    strange = SetParameters.Request(parameters=[Parameter(name="task", value=ParameterValue(type=77))])
    asked = client.create_client(SetParameters, "recorder/set_parameters")
    client.wait(asked.service_is_ready, START_S, "the service", graph.check)
    client.wait(asked.call_async(strange).done, START_S, "the answer", graph.check)
    client.trigger("/recorder/stop", START_S)
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if "set_parameters: refused" in line and "77" in line], said
