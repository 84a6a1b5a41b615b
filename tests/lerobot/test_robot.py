"""LeRobot's own recorder at a running graph, and its dataset back in a bag."""

import os
import subprocess
from pathlib import Path

from smp_bringup.bag.reader import open_bag
from smp_bringup.client.graph_client import graph_client
from smp_bringup.exchange.from_lerobot import import_dataset
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import load_recording
from smp_bringup.record.quality import Level
from smp_bringup.robot import load_robot

WAIT_S = 240.0


def record(python, out, log, *words):
    """Start lerobot-record in LeRobot's environment."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [
        Path(python).with_name("lerobot-record"),
        "--robot.type=ros2_bimanual",
        "--robot.robot=aloha_64",
        "--robot.wait_s=60",
        "--teleop.type=ros2_leaders",
        "--teleop.robot=aloha_64",
        "--teleop.wait_s=60",
        "--dataset.repo_id=local/recorded",
        f"--dataset.root={out}",
        "--dataset.single_task=press both buttons",
        "--dataset.fps=25",
        "--dataset.num_episodes=1",
        "--dataset.episode_time_s=4",
        "--dataset.push_to_hub=false",
        "--dataset.video=false",
        "--play_sounds=false",
        *words,
    ]
    with log.open("w") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=kept | {"OMP_NUM_THREADS": "1"})


def test_lerobot_records_what_leads_a_running_graph(lerobot_python, tmp_path):
    robot, log = load_robot("aloha_64"), tmp_path / "log"
    nodes = build_graph(sim=True, robot="aloha_64", model="none", teleop=True)
    with Graph(nodes, tmp_path / "graph") as graph, graph_client() as client:
        client.start_episode("press_two_buttons", 3, "teleop", graph.check)
        recorder = record(lerobot_python, tmp_path / "dataset", log, "--robot.lead=false")
        try:
            client.wait(lambda: "Recording episode" in log.read_text(), WAIT_S, "LeRobot's recording", graph.check)
            client.trigger("sim/operate")
            client.wait(lambda: recorder.poll() is not None, WAIT_S, "the end of the recording", graph.check)
        finally:
            recorder.kill()
            recorder.wait()
    assert recorder.returncode == 0, log.read_text()[-3000:]
    (folder,) = import_dataset(tmp_path / "dataset", tmp_path / "bags", robot).folders
    bag = open_bag(folder)
    assert judge_bag(bag, bag.robot(), load_recording("default").quality).level is Level.KEEP
    assert bag.episode["text"] == "press both buttons"


def test_a_robot_without_leaders_is_not_led(lerobot_python, run_there):
    said = run_there(
        lerobot_python,
        "-c",
        "from lerobot_robot_ros2_bimanual import *\n"
        "try: Ros2Bimanual(Ros2BimanualConfig(robot='baxter'))\n"
        "except Exception as error: print(error)",
    )
    assert "give --robot.lead=false" in said
