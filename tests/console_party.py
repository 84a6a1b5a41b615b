"""`smp console` as a process, and a client of its page."""

import json
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import numpy as np
from websockets.sync.client import connect

from smp_bringup.bag.messages import IMAGE, JOINT_STATE, image_cdr, joint_state_cdr
from smp_bringup.bag.writer import BagWriter
from smp_bringup.robot import load_robot

TOKEN = "a-token-for-the-tests"


class Console:
    """A console that runs, as its browsers see it."""

    def __init__(self, process, port):
        self.process, self.port = process, port
        self.origin = f"http://127.0.0.1:{port}"
        self.address = f"{self.origin}/?token={TOKEN}"
        self.cookie = f"smp_console_{port}={TOKEN}"

    def get(self, path="/", **headers):
        """Return status, headers and text of what is there; a header `None` is left out."""
        asked = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie, **headers}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", path, headers={name: value for name, value in asked.items() if value})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read().decode()

    def socket(self, path, **headers):
        """Open a websocket as the page does."""
        cookie = {"Cookie": headers.pop("cookie", self.cookie)}
        origin = headers.pop("origin", self.origin)
        return connect(f"ws://127.0.0.1:{self.port}{path}", origin=origin, additional_headers=cookie, **headers)

    def ask(self, socket, name):
        """Make a request and return its answer."""
        socket.send(name)
        while (answer := json.loads(socket.recv(30)))["verb"] != name:
            pass
        return answer


class Live:
    """A browser's view of what is so."""

    def __init__(self, socket):
        self.socket, self.state, self.figures, self.pictures = socket, {}, [], {}
        self.robot = json.loads(socket.recv(30))["robot"]

    def draw(self, looking):
        """Ask for the next state, and take it with the pictures of what is looked at."""
        self.socket.send(looking)
        while isinstance(message := self.socket.recv(30), bytes):
            camera, _, picture = message.partition(b"\n")
            self.pictures[camera.decode()] = picture
        told = json.loads(message)
        self.state, self.figures = told["state"], told.get("figures", self.figures)

    def until(self, condition, looking="camera", timeout_s=60):
        """Draw what comes until a condition holds for the state."""
        end = time.monotonic() + timeout_s
        while not (self.state and condition(self.state)):
            assert time.monotonic() < end, self.state
            self.draw(looking)
        return self.state


def episode_bag(folder, task, number, **notes):
    """Write a second of an episode: the left arm, and five pictures of the first camera."""
    robot = load_robot("aloha")
    left, camera = robot.arms[0], robot.cameras[0]
    names = tuple(joint.name for joint in left.joints)
    writer = BagWriter(folder, robot, task)
    for k in range(10):
        at = 1_796_000_000_000_000_000 + number * 60_000_000_000 + k * 100_000_000
        writer.write(left.state_topic, JOINT_STATE, at, joint_state_cdr(at, names, np.full(7, 0.03 + k / 100)))
        if k % 2 == 0:
            image = np.full((camera.height, camera.width, 3), 20 * k, np.uint8)
            writer.write(camera.topic, IMAGE, at, image_cdr(at, "", image))
    return writer.close(True, {"quality": "keep", "reasons": "", **notes})


@contextmanager
def console(*words):
    """Run a console on a free port."""
    command = [sys.executable, "-m", "smp_bringup.cli.main", "console", "--port", "0", "--token", TOKEN, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said = process.stdout.readline()
            assert "http://" in said, said + process.stdout.read()
            yield Console(process, int(said.partition("http://")[2].partition("/")[0].rpartition(":")[2]))
        finally:
            process.terminate()
            process.wait(60)
