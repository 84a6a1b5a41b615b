"""From nothing to a closed loop with a robot that no one has configured, through the command line alone.

The worked example of docs/your_robot.md: two xArm7 that flags place, under ros2_control, with two leader arms and two
cameras. A machine that stalls ends what runs, as it should; then that is tried again.
"""

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import termios
import time
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from pathlib import Path

import numpy as np
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import String

from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import START_S, graph_client
from smp_bringup.environment import small_sockets
from smp_bringup.nodes import qos
from smp_bringup.nodes.messages import status_values

HERE = Path(__file__).parent
MAKERS = Path(sysconfig.get_path("purelib"), "cmeel.prefix/share/example-robot-data/robots/xarm_description/urdf")
URDF = Path(os.environ.get("XARM7_URDF") or next((MAKERS.glob("xarm7.urdf")), HERE.parent / "unit/xarm7.urdf"))
"""With meshes where example-robot-data is installed."""
TOPICS = "/overview/color/image_raw", "/wrist_left/color/image_raw/compressed"
EPISODES, EPISODE_S, TRIES = 3, 2.0, 20
POLICY = """
policy:
  kind: diffusion
  cameras: [overview, wrist_left]
  noise: 0.0
  denoiser: {width: 64, depth: 2}
  encoder: {channels: [4, 8], keypoints: 4, feature: 64}
training: {pairs: 8, warmup_steps: 10, learning_rate: 0.003}
"""
FILE = "xarm/robot.yaml"
START = (0.0, -0.3, 0.0, 1.2, 0.0, 1.0, 0.0)
"""Where the arms are before anybody moves them [rad]."""


class User:
    """Somebody at a terminal in a folder, who sees what the arms do."""

    def __init__(self, folder, client):
        self.folder, self.client, self.reports, self.recorder = folder, client, {}, {}
        for side in ("left", "right"):
            hear = lambda message, side=side: self.reports.update({side: json.loads(message.data)})  # noqa: E731
            client.create_subscription(String, f"/{side}/ros2_control/report", hear, 10)
        state = lambda message: self.recorder.update(status_values(message))  # noqa: E731
        client.create_subscription(DiagnosticArray, "/recorder/state", state, qos.STATE)

    def smp(self, *words):
        """Run a command to its end."""
        begun, command = time.monotonic(), [sys.executable, "-m", "smp_bringup.cli.main", *map(str, words)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=300)
        print(f"{time.monotonic() - begun:5.1f} s  smp {' '.join(map(str, words))}: {done.returncode}\n{done.stdout}")
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def well(self, *words):
        """Run a command that must succeed; return what it printed."""
        done = self.smp(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def until_done(self, verb, check):
        """Ask the command node until it says yes."""
        end = time.monotonic() + START_S
        while (done := self.smp(verb)).returncode != 0:
            check()
            assert time.monotonic() < end, done.stdout + done.stderr

    @contextmanager
    def up(self, *words):
        """Run the graph; give what says that it still runs."""
        log = self.folder / f"up{len(list(self.folder.glob('up*.log')))}.log"
        command = [sys.executable, "-m", "smp_bringup.cli.main", "up", "--robot", FILE, *words]
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=self.folder, stdout=out, stderr=out)

        def check():
            assert process.poll() is None, log.read_text()

        try:
            self.client.command_state.clear()
            self.client.wait(lambda: bool(self.client.command_state), START_S, "the command node", check)
            yield check
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)

    @property
    def mode(self):
        """What the command node is doing."""
        return self.client.command_state["mode"]

    def look(self):
        """Return where the arms' joints (14,) are now [rad]."""
        self.reports.clear()
        self.client.wait(lambda: len(self.reports) == 2, START_S, "the drivers")
        return np.array([self.reports[side]["positions"][side] for side in ("left", "right")]).ravel()

    def rests(self):
        """Return whether the arms are where the operator began: the policy has seen them there."""
        at = np.array([report["positions"][side] for side, report in self.reports.items()])
        return len(at) == 2 and np.abs(at - START).max() < 0.05

    def lead(self, check):
        """Take the arms over by their leaders, and sway them."""
        self.client.set_bool("/operator/sway", False)
        end = time.monotonic() + 2 * START_S
        for verb in cycle(("arm", "teleop", "reset")):  # what is not due is refused, and says so
            done = self.smp(verb)
            check()
            if verb == "teleop" and done.returncode == 0:
                break
            assert time.monotonic() < end, done.stdout + done.stderr
        self.client.set_bool("/operator/sway", True)
        self.client.wait(lambda: self.mode == "teleop" or self.client.latched, START_S, "the mode", check)


class Keys:
    """`smp record --keys` in a terminal of its own."""

    def __init__(self, folder):
        self._log, (self._keyboard, self._terminal) = folder / "keys.log", os.openpty()
        command = [sys.executable, "-m", "smp_bringup.cli.main", "record", "--keys"]
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=folder, stdin=self._terminal, stdout=out, stderr=out)

    def heard(self):
        """Return whether keys are heard from now on: what is pressed before is thrown away."""
        assert self.process.poll() is None, self._log.read_text()
        return not termios.tcgetattr(self._terminal)[3] & termios.ICANON

    def press(self, key):
        os.write(self._keyboard, key.encode())

    def end(self, user, judged, check):
        """End the episode by a key, as a user does who sees that it goes on: once more after a while."""
        for _ in range(3):
            self.press(" ")
            with suppress(GraphError):
                user.client.wait(lambda: len(self.verdicts()) > judged, 20, "the verdict", check)
                return
            assert user.recorder["recording"] == "True", self._log.read_text()
        raise AssertionError(self._log.read_text())

    def verdicts(self):
        """Return the verdicts that were shown so far."""
        return re.findall(r"^(keep|warn|reject) .*", self._log.read_text(), re.MULTILINE)

    def quit(self):
        self.press("q")
        assert self.process.wait(30) == 0, self._log.read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        for end in (self._keyboard, self._terminal):
            os.close(end)
        print(self._log.read_text())


def record(user, keys, check):
    """Record episodes until so many are kept; what a stall spoiled is discarded."""
    kept, client = 0, user.client
    client.wait(lambda: "recording" in user.recorder and keys.heard(), START_S, "the recorder", check)
    for _ in range(TRIES):
        if kept == EPISODES:
            break
        if user.mode != "teleop":
            user.lead(check)
        judged = len(keys.verdicts())
        keys.press(" ")
        client.wait(lambda: user.recorder["recording"] == "True", START_S, "the start", check)
        over = lambda: user.mode != "teleop" or float(user.recorder["seconds"]) > EPISODE_S  # noqa: E731
        client.wait(over, START_S, "the end of the episode", check)
        keys.end(user, judged, check)
        if keys.verdicts()[-1] == "keep":
            kept += 1
        else:
            keys.press("d")
            client.wait(lambda: user.recorder["said"].startswith("discarded"), START_S, "the discard", check)
    keys.quit()
    assert kept == EPISODES


def make(user):
    """Write the files of the robot beside its drivers, and look what is wrong with them."""
    places = ["--copies", "left,right", "--at", "left=0,0.3,0", "--at", "right=0,-0.3,0"]
    leaders = [word for side in ("left", "right") for word in ("--leader", f"{side}=/{side}_leader/joint_states")]
    seen = "--urdf", URDF, "--from-graph", "--seconds", 1
    said = user.well("robot", "new", *seen, "--out", "xarm", "--yes", *places, *leaders)
    assert "arm_distance is left out" not in said
    robot = yaml.safe_load((user.folder / FILE).read_text())
    for arm, side in zip(robot["arms"], ("left", "right"), strict=True):
        assert (arm["name"], arm["prefix"], arm["state_topic"]) == (side, f"{side}_", f"{side}/joint_states")
        assert arm["command_topic"] == f"{side}/xarm7_traj_controller/joint_trajectory"
        assert arm["base"][:3] == [0.0, 0.3 if side == "left" else -0.3, 0.0]
    assert [camera["topic"] for camera in robot["cameras"]] == [topic.lstrip("/") for topic in TOPICS]
    assert " 0 to mend" in user.well("robot", "check", FILE, "--live", "--seconds", 1)
    return robot


def run(user):
    """Let the policy move the arms; a machine that stalls holds and then faults, and it is tried again."""
    with user.up() as check:
        for _ in range(TRIES):
            before = user.look()
            if user.client.latched:
                user.until_done("reset", check)
            if user.smp("run", "--seconds", "3").returncode == 0:
                break
        else:
            raise AssertionError(user.client.command_state)
        moved = np.abs(user.look() - before).max()
        assert user.mode == "hold"
        assert moved > 0.02, "the policy moves the arms"
        print(f"moved by up to {moved:.2f} rad")


def within_limits(user, robot):
    """Hold what the controllers were told, and how fast the arms went, against the limits."""
    for arm in robot["arms"]:
        low, high = ([joint[key] for joint in arm["joints"]] for key in ("min", "max"))
        report = user.reports[arm["name"]]
        assert report["refused"] == 0, report
        assert (np.array(report["lowest"][arm["name"]]) >= low).all()
        assert (np.array(report["highest"][arm["name"]]) <= high).all()
        # Half of what the URDF allows; arms that lag catch up, but a jump of 0.1 rad would be 5 rad/s.
        assert report["fastest"] < 3.14, report
        print(f"{arm['name']}: at most {report['fastest']:.2f} rad/s")


def test_from_a_urdf_to_a_closed_loop(stock_party, tmp_path):
    reliability = "reliable" if small_sockets() else "best_effort"  # see test_stock_cameras
    slow = "--rate", "15", "--trigger"  # it leaves two cores room for the rest
    with ExitStack() as stack:
        stack.enter_context(stock_party(HERE / "two_xarm7.py"))
        stack.enter_context(stock_party(HERE / "stock_driver.py", TOPICS[0], *slow, "--reliability", reliability))
        stack.enter_context(stock_party(HERE / "stock_driver.py", TOPICS[1], *slow, "--form", "jpeg"))
        user = User(tmp_path, stack.enter_context(graph_client()))
        user.look()
        robot = make(user)
        with user.up("--teleop", "--record", "data", "--task", f"sway*{EPISODES}") as check:
            with Keys(tmp_path) as keys:
                record(user, keys, check)
            user.client.set_bool("/operator/sway", False)
            user.client.wait(lambda: user.mode != "teleop" or user.rests(), START_S, "rest", check)
            user.until_done("disarm", check)
        (tmp_path / "tiny.yaml").write_text(POLICY)
        user.well("train", "--bags", "data", "--policy", "tiny.yaml", "--steps", 200, "--out", "runs/tiny")
        text = (tmp_path / FILE).read_text()
        (tmp_path / FILE).write_text(re.sub(r"^# model: \S+", "model: ../runs/tiny/model", text, flags=re.MULTILINE))
        assert " 0 to mend" in user.well("robot", "check", FILE)
        user.well("replay", "data", "--model", "runs/tiny/model", "--json", "replay.json")
        figures = json.loads((tmp_path / "replay.json").read_text())["figures"]
        assert figures["joint_rmse"] < 0.3, figures
        run(user)
        within_limits(user, robot)
