"""`smp doctor`: what an installation has, what it lacks, and what to do about it."""

import os
import platform
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import typer
from rich.text import Text

from smp_bringup.cli.show import console
from smp_bringup.errors import EXIT_CODE, SmpError

Check = Callable[[], str]


def doctor() -> None:
    """Check the installation; exit code 2 if something that the simulation needs is missing."""
    failed = 0
    for name, check, needed in CHECKS:
        try:
            _say("ok", "green", f"{name}: {check()}")
        except (SmpError, ImportError, PackageNotFoundError) as error:
            failed += needed
            _say(*(("fail", "red") if needed else ("none", "yellow")), f"{name}: {error}")
    if failed:
        raise typer.Exit(EXIT_CODE)


def _say(word: str, colour: str, text: str) -> None:
    console.print(Text(f"{word:<5}", colour).append(text, "default"), soft_wrap=True)


def _python() -> str:
    return f"{platform.python_version()} at {sys.prefix}"


def _library(name: str, distribution: str | None = None) -> Check:
    def check() -> str:
        try:
            import_module(name)
        except ImportError as error:
            raise SmpError(f"cannot be imported ({error}): run make setup") from None
        return version(distribution or name)

    return check


def _ros() -> str:
    from smp_bringup.environment import network_reach, prepare_environment, require_shared_memory

    prepare_environment()
    require_shared_memory()  # first: without it the import kills us
    try:
        import_module("rclpy")
    except ImportError as error:
        raise SmpError(f"rclpy cannot be imported ({error}): run make setup, or source ROS 2") from None
    return f"rclpy with {os.environ['RMW_IMPLEMENTATION']}; reaches {network_reach()}"


def _sockets() -> str:
    from smp_bringup.environment import RECEIVE_BYTES, small_sockets

    if text := small_sockets():
        raise SmpError(f"raw images of drivers that are not ours may be lost: {text}")
    return f"a socket can hold {RECEIVE_BYTES >> 20} MiB of what a driver sends"


def _security() -> str:
    from smp_bringup.launcher import importable
    from smp_bringup.names import CLIENT
    from smp_bringup.security import middleware_has_security, require_security, security_asked

    if importable("rclpy") is None:
        return "no ROS 2"
    if not security_asked():
        can = "could enforce it" if middleware_has_security() else "could not enforce it"
        return f"not asked for (ROS_SECURITY_ENABLE); this middleware {can}"
    require_security([CLIENT])
    if os.environ["ROS_SECURITY_STRATEGY"] == "Permissive":
        return "asked for, and not enforced: with ROS_SECURITY_STRATEGY=Permissive whoever has no keys runs open"
    return f"enforced, with the keys in {os.environ['ROS_SECURITY_KEYSTORE']}"


def _ros2() -> str:
    try:
        import_module("launch_ros")
        import_module("ros2cli")
    except ImportError:
        raise SmpError(
            "not installed, as with ROS 2 from wheels; in its place: smp up for ros2 launch, smp arm, policy, teleop, "
            "estop, release, reset and disarm for ros2 service call, smp status and top for ros2 topic echo"
        ) from None
    return "ros2 launch, service and topic"


def _gl() -> str:
    from smp_bringup.robot import load_robot
    from smp_bringup.sim.world import World
    from smp_bringup.tasks import TASKS

    world = World(TASKS["transfer_cube"](), load_robot("aloha"))
    world.reset(0)
    height, width, _ = world.render("overview").shape
    world.close()
    return f"rendered {width}x{height} with MUJOCO_GL={os.environ['MUJOCO_GL']}"


def _models() -> str:
    from smp_bringup.paths import share
    from smp_bringup.pipeline import build_policy
    from smp_bringup.robot import load_robot

    names = sorted(p.parent.name for p in share("models").glob("*/manifest.json"))
    for name in names:
        build_policy(share("models", name), load_robot("aloha"))
    return ", ".join(names) or "none"


def _robots() -> str:
    from smp_bringup.commission.files import check_file
    from smp_bringup.commission.finding import Level
    from smp_bringup.paths import share

    names = sorted(path.stem for path in share("config", "robots").glob("*.yaml"))
    for name in names:
        for finding in check_file(name)[0]:
            if finding.level == Level.ERROR:
                raise SmpError(f"{name}: {finding.line}")
    return f"{', '.join(names)}; yours: smp robot check my_robot.yaml"


CHECKS: tuple[tuple[str, Check, bool], ...] = (
    ("Python", _python, True),
    ("MuJoCo", _library("mujoco"), True),
    ("PyTorch (training)", _library("torch"), False),
    ("ONNX Runtime", _library("onnxruntime"), True),
    ("ruckig", _library("ruckig"), True),
    ("rosbags", _library("rosbags"), True),
    ("ROS 2", _ros, False),
    ("camera images", _sockets, False),
    ("security", _security, True),
    ("ros2", _ros2, False),
    ("rendering", _gl, True),
    ("models", _models, True),
    ("robots", _robots, True),
)
