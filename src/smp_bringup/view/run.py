"""A bag or a running graph, into a window of Rerun or into a file; nothing listens beyond this machine."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rerun as rr
import rerun_cli

from smp_bringup.bag.reader import open_bag
from smp_bringup.errors import InstallError
from smp_bringup.paths import share
from smp_bringup.robot import Robot
from smp_bringup.view.scene import Scene

_LOOPBACK = "127.0.0.1"
_START_S = 20.0
_VIEWER = Path(rerun_cli.__file__).parent / "rerun"

Messages = Iterable[tuple[str, int, Any]]


def description_of(robot: Robot, asked: str) -> str:
    """Return the description that was asked for, else the robot's, else the shipped one of its name; or nothing."""
    shipped = share() / "config/descriptions" / f"{robot.name}.urdf"
    return asked or robot.description or (str(shipped) if shipped.is_file() else "")


def view_bag(path: Path, robot: Robot | None, description: str, save: Path | None) -> Iterator[str]:
    """Show a bag; yield what there is to say.

    Args:
        path: of the bag.
        robot: of it, where the bag carries none.
        description: URDF or MJCF, where the robot file names none.
        save: file for the recording, instead of a window.

    Raises:
        BagError: the bag cannot be read, or carries no robot.
        ConfigError: the description cannot be read.
    """
    bag = open_bag(path)
    body = robot or bag.robot()
    yield from _shown(f"smp_bringup: {path.name}", body, description, save, lambda topics: bag.messages(set(topics)))


def view_live(robot: Robot, description: str, save: Path | None, messages: Messages) -> Iterator[str]:
    """Show what `messages` of a running graph say; see `view_bag`. `robot` has its topics in the root namespace."""

    def wanted(topics: frozenset[str]) -> Messages:
        return (message for message in messages if message[0] in topics)

    yield from _shown("smp_bringup", robot, description, save, wanted)


def _shown(
    name: str, robot: Robot, asked: str, save: Path | None, messages: Callable[[frozenset[str]], Messages]
) -> Iterator[str]:
    described = description_of(robot, asked)
    if not described:
        yield f"robot '{robot.name}' has no description: no arms and no ribbon are drawn; --description names a URDF"
    with _window(save) as (attach, viewer):
        with rr.RecordingStream(name) as recording:
            attach(recording)
            scene = Scene(recording, robot, described)
            count = 0
            for topic, at_ns, message in messages(scene.topics):
                scene.take(topic, at_ns, message)
                count += 1
                if viewer is not None and viewer.poll() is not None:
                    break
            recording.flush()
        unread = f", {scene.refused} of them could not be read" if scene.refused else ""
        yield f"{count} messages{unread}" + (f"; open {save} with: rerun --bind {_LOOPBACK} {save}" if save else "")
        if viewer is not None:
            viewer.wait()


@contextmanager
def _window(save: Path | None) -> Iterator[tuple[Callable[[rr.RecordingStream], None], subprocess.Popen[bytes] | None]]:
    """Give what sends a recording to its place, and the process of the window, if there is one; it ends with us."""
    if save is not None:
        yield (lambda recording: recording.save(save)), None
        return
    port = _free_port()
    viewer = subprocess.Popen([_VIEWER, "--bind", _LOOPBACK, "--port", str(port), "--hide-welcome-screen"])
    try:
        _await(viewer, port)
        yield (lambda recording: recording.connect_grpc(f"rerun+http://{_LOOPBACK}:{port}/proxy")), viewer
    finally:
        viewer.terminate()
        viewer.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _await(viewer: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until the window's server listens; raises InstallError where the window cannot be opened."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end and viewer.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((_LOOPBACK, port)) == 0:
                return
        time.sleep(0.1)
    raise InstallError("Rerun's window does not open here (no display, no GPU?): write a file instead, with --save")
