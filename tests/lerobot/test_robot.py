"""LeRobot's own tools lead the arms of a running graph; what they record comes back in a bag."""

import re
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from smp_bringup.client.graph_client import graph_client
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.mapping.document import load_mapping
from smp_bringup.robot import load_robot

sys.path.insert(0, str(Path(__file__).parent))
from tools_of_lerobot import ROBOT, SCRIPTED, WAIT_S, changed, dataset, kept, tool


@pytest.fixture(scope="module")
def robot():
    return load_robot("aloha_64")


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """A graph whose arms somebody else is to lead, with a client."""
    nodes = build_graph(sim=True, robot="aloha_64", model="none", teleop=True, operator="none")
    with Graph(nodes, tmp_path_factory.mktemp("up") / "graph") as graph, graph_client() as client:
        client.wait(lambda: bool(client.sim_state and client.command_state), WAIT_S, "the graph", graph.check)
        yield graph, client


@pytest.fixture
def fresh(up):
    """That graph with its arms at home, disarmed."""
    graph, client = up
    if client.latched:
        client.set_bool("command/estop", False)
    client.reset_episode("press_two_buttons", 3, graph.check)
    return graph, client


@pytest.fixture
def degrees(robot, tmp_path):
    """A mapping to names of somebody else, in degrees and millimetres."""
    arms = {
        arm.name: {
            "joints": {j.name: {"name": f"their_{j.name}.pos", "unit": "deg" if j.turns else "mm"} for j in arm.joints}
        }
        for arm in robot.arms
    }
    (tmp_path / "degrees.yaml").write_text(
        yaml.safe_dump({"robot": "aloha_64", "arms": arms, "cameras": {"overview": "observation.images.top"}})
    )
    return tmp_path / "degrees.yaml"


def mode(client):
    return client.command_state["mode"]


@pytest.mark.parametrize("mapped", [False, True])
def test_lerobot_leads_and_records_several_episodes_that_it_then_replays(
    mapped, lerobot_python, robot, degrees, fresh, tmp_path
):
    graph, client = fresh
    theirs = [f"--robot.mapping={degrees}"] if mapped else []
    other = ["--teleop.prefix=their_", "--teleop.degrees=true"] if mapped else []
    words = (*ROBOT, *SCRIPTED, *theirs, *other, *dataset(tmp_path / "dataset", episodes=2))
    with tool(lerobot_python, "lerobot-record", tmp_path, *words) as recorder:
        client.wait(lambda: mode(client) == "teleop" or recorder.ended(), WAIT_S, "LeRobot to lead", graph.check)
        client.wait(recorder.ended, WAIT_S, "the end of the recording", graph.check)
        assert recorder.process.returncode == 0, recorder.said[-3000:]
    assert mode(client) == "hold"
    episodes = kept(tmp_path / "dataset", tmp_path / "bags", robot, load_mapping(str(degrees)) if mapped else None)
    assert len(episodes) == 2
    moved = [i for i, name in enumerate(robot.joint_names) if name.endswith(("waist", "wrist_rotate"))]
    for measured, told in episodes:
        assert (np.ptp(told[:, moved], axis=0) > 0.25).all()
        assert (np.ptp(measured[:, moved], axis=0) > 0.25).all()
        caught_up = slice(len(told) // 2, None)  # the operator went on while LeRobot wrote to disk
        assert np.abs(measured - told)[caught_up, robot.turning].max() < 0.15
    client.reset_episode("press_two_buttons", 3, graph.check)
    words = (*ROBOT, *theirs, *dataset(tmp_path / "dataset")[:2], "--dataset.episode=0", "--play_sounds=false")
    with tool(lerobot_python, "lerobot-replay", tmp_path, *words) as replay:
        client.wait(lambda: mode(client) == "teleop" or replay.ended(), WAIT_S, "the replay to lead", graph.check)
        client.wait(replay.ended, WAIT_S, "the end of the replay", graph.check)
        assert replay.process.returncode == 0, replay.said[-3000:]
    assert mode(client) == "hold"


def test_lerobot_teleoperates(lerobot_python, fresh, tmp_path):
    graph, client = fresh
    words = (*ROBOT, *SCRIPTED, "--fps=25", "--teleop_time_s=3")
    with tool(lerobot_python, "lerobot-teleoperate", tmp_path, *words) as running:
        client.wait(lambda: mode(client) == "teleop" or running.ended(), WAIT_S, "LeRobot to lead", graph.check)
        client.wait(running.ended, WAIT_S, "its end", graph.check)
        assert running.process.returncode == 0, running.said[-3000:]
    assert mode(client) == "hold"


REFUSED = {
    "silent leaders": (
        ["--robot.lead=false", "--teleop.type=ros2_leaders", "--teleop.robot=aloha_64", "--teleop.wait_s=1"],
        "waited 1 s for who leads the arms: the leaders of robot 'aloha_64' are silent ./leader_left/joint_states",
    ),
    "another robot's cameras": (["--robot.robot=aloha"], "gives 64 x 64 px, robot 'aloha' has others"),
    "other names": (
        ["--teleop.prefix=motor_"],
        "has no left_waist.pos, .* only motor_left_waist.pos, .*--robot.mapping",
    ),
    "degrees": (["--teleop.degrees=true"], "looks like degrees, not .rad.*--robot.mapping"),
    "far from the arms": (
        ["--teleop.away=1", "--robot.wait_s=3"],
        "waited 3 s for the arms to follow LeRobot: .*waist 1.* rad from the setpoint",
    ),
    "nobody's namespace": (
        ["--robot.namespace=/other", "--robot.wait_s=1"],
        "nothing comes .is a graph running, in this",
    ),
    "what it only hears": (["--teleop.type=ros2_leaders", "--teleop.robot=aloha_64"], "give --robot.lead=false"),
    "what nobody does": (["--robot.lead=false"], "no action is done: give --teleop.type=ros2_leaders"),
    "two robots": (
        ["--robot.lead=false", "--teleop.type=ros2_leaders"],
        "must name the same robot and namespace, got 'aloha' in / and 'aloha_64' in /",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_the_graph_is_refused_in_one_line_and_leads_no_arm(case, lerobot_python, fresh, tmp_path):
    graph, client = fresh
    changes, told = REFUSED[case]
    words = changed((*ROBOT, *SCRIPTED, *dataset(tmp_path / "dataset")), changes)
    with tool(lerobot_python, "lerobot-record", tmp_path, *words) as recorder:
        client.wait(recorder.ended, WAIT_S, "the refusal", graph.check)
        assert re.search(told, recorder.error), recorder.error
    assert mode(client) in ("disarmed", "hold")


WRONG = {
    "more frames than there are": (["--dataset.fps=30"], "gives 25 observations a second: give --dataset.fps=25"),
    "no frames": (["--dataset.fps=0"], "give --dataset.fps=25, or less"),
    "unknown robot": (["--robot.robot=aloha_46"], "'aloha_46' .did you mean 'aloha_64'"),
    "unknown mapping": (["--robot.mapping=lerobto"], "'lerobto' .did you mean 'lerobot'"),
    "no leader arms": (["--robot.robot=baxter"], "give --robot.lead=false"),
    "namespace": (["--robot.namespace=robot 1"], "robot 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_in_any_graph_is_told_before_one_is_sought(case, lerobot_python, tmp_path):
    changes, told = WRONG[case]
    words = changed((*ROBOT, *SCRIPTED, *dataset(tmp_path / "dataset")), changes)
    with tool(lerobot_python, "lerobot-record", tmp_path, *words) as recorder:
        recorder.process.wait(WAIT_S)
        assert re.search(told, recorder.error), recorder.error
    assert not (tmp_path / "dataset").exists()


def test_ctrl_c_in_an_episode_leaves_the_arms_held(lerobot_python, fresh, tmp_path):
    graph, client = fresh
    words = (*ROBOT, *SCRIPTED, *dataset(tmp_path / "dataset", seconds=600))
    with tool(lerobot_python, "lerobot-record", tmp_path, *words) as recorder:
        client.wait(lambda: mode(client) == "teleop" or recorder.ended(), WAIT_S, "LeRobot to lead", graph.check)
        recorder.process.send_signal(signal.SIGINT)
        client.wait(recorder.ended, WAIT_S, "its end", graph.check)
        assert recorder.process.returncode == 130, recorder.said[-3000:]
        assert recorder.said.splitlines()[-1] == "interrupted: what was being recorded is not kept"
    assert mode(client) == "hold"


def test_a_stop_ends_the_recording(lerobot_python, fresh, tmp_path):
    graph, client = fresh
    words = (*ROBOT, *SCRIPTED, *dataset(tmp_path / "dataset", seconds=600))
    with tool(lerobot_python, "lerobot-record", tmp_path, *words) as recorder:
        client.wait(lambda: mode(client) == "teleop" or recorder.ended(), WAIT_S, "LeRobot to lead", graph.check)
        client.set_bool("command/estop", True)
        client.wait(recorder.ended, WAIT_S, "its end", graph.check)
        assert re.search("the arms do not follow LeRobot.*: estop: the emergency stop was pressed", recorder.error)
    assert mode(client) == "estop"


def test_a_lerobot_that_stands_still_is_a_leader_that_fell_silent(lerobot_python, fresh, tmp_path):
    graph, client = fresh
    words = (*ROBOT, *SCRIPTED, *dataset(tmp_path / "dataset", seconds=600))
    with tool(lerobot_python, "lerobot-record", tmp_path, *words) as recorder:
        client.wait(lambda: mode(client) == "teleop" or recorder.ended(), WAIT_S, "LeRobot to lead", graph.check)
        recorder.process.send_signal(signal.SIGSTOP)
        client.wait(lambda: mode(client) == "fault", WAIT_S, "the arms to be held", graph.check)
        recorder.process.send_signal(signal.SIGCONT)
        client.wait(recorder.ended, WAIT_S, "its end", graph.check)
        assert re.search("the arms do not follow LeRobot.*: fault: source_fresh", recorder.error)


def test_without_ros_it_says_what_to_install(lerobot_python, tmp_path):
    code = (
        "import sys; sys.modules['sensor_msgs'] = None\n"
        "from lerobot_robot_ros2_bimanual import *\n"
        "Ros2Bimanual(Ros2BimanualConfig(robot='aloha_64')).connect()"
    )
    with tool(lerobot_python, "python", tmp_path, "-c", code) as running:
        running.process.wait(WAIT_S)
        assert re.search("has no sensor_msgs.*: pip install -r requirements/ros-kilted.in", running.error)
