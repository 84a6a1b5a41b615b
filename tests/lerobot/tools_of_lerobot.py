"""LeRobot's own commands at the robot of a graph, as processes."""

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from smp_bringup.bag.aligned import aligned_sets, leader_trajectory
from smp_bringup.bag.reader import open_bag
from smp_bringup.exchange.from_lerobot import import_dataset
from smp_bringup.record.check import judge_bag
from smp_bringup.record.config import load_recording
from smp_bringup.record.quality import Level

WAIT_S = 240.0
HERE = Path(__file__).parent
LOOKS_ON = ("--robot.lead=false", "--teleop.type=ros2_leaders", "--teleop.robot=aloha_64", "--teleop.wait_s=60")
SCRIPTED = ("--teleop.discover_packages_path=scripted_teleoperator", "--teleop.type=scripted")
ROBOT = ("--robot.type=ros2_bimanual", "--robot.robot=aloha_64", "--robot.wait_s=60")


class Tool:
    """One command that runs."""

    def __init__(self, python, name, log, words):
        kept = os.environ | {"PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self._log = log
        with log.open("w") as file:
            command = [Path(python).with_name(name), *words]
            self.process = subprocess.Popen(command, stdout=file, stderr=file, env=kept, start_new_session=True)

    @property
    def said(self):
        return self._log.read_text()

    @property
    def error(self):
        """The one line that it ended with, where it ended as `smp` does; LeRobot logs tracebacks that end nothing."""
        assert self.process.returncode == 2, self.said[-3000:]
        (line,) = [line for line in self.said.splitlines() if line.startswith("error: ")]
        assert line == self.said.splitlines()[-1]
        return line

    def ended(self):
        return self.process.poll() is not None


@contextmanager
def tool(python, name, folder, *words):
    """Start a command; it is gone when the block is left."""
    running = Tool(python, name, folder / f"{name}.log", words)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def changed(words, changes):
    """Return words of a command line with `changes` in the place of those that they change."""
    names = {word.split("=")[0] for word in changes}
    return [word for word in words if word.split("=")[0] not in names] + list(changes)


def dataset(out, episodes=1, seconds=4.0, fps=25):
    """What lerobot-record is told of a dataset."""
    return (
        "--dataset.repo_id=local/recorded",
        f"--dataset.root={out}",
        "--dataset.single_task=press both buttons",
        f"--dataset.fps={fps}",
        f"--dataset.num_episodes={episodes}",
        f"--dataset.episode_time_s={seconds}",
        "--dataset.reset_time_s=1",
        "--dataset.push_to_hub=false",
        "--dataset.video=false",
        "--play_sounds=false",
    )


def kept(folder, out, robot, mapping=None):
    """Return what was measured and told (N, J) in each episode, all of which are worth keeping."""
    values = []
    for bag in map(open_bag, import_dataset(folder, out, robot, mapping=mapping).folders):
        verdict = judge_bag(bag, bag.robot(), load_recording("default").quality)
        assert verdict.level is Level.KEEP, verdict
        assert bag.episode["text"] == "press both buttons"
        measured = np.array([seen.position for seen in aligned_sets(bag, bag.robot())])
        values.append((measured, leader_trajectory(bag, bag.robot())[1]))
    return values
