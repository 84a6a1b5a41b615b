"""Robot and GPU as two machines: two network namespaces on one cable, the cable cut for a while; figures as JSON.

Needs root, for `ip netns`. Each side has its own shared memory, so that nothing but the cable joins them:

    python tools/two_machines.py --cut 2 --json docs/results/two_machines.json

The robot's side (simulator, sync, command) and who measures run in one namespace, the policy in the other.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

CABLE = "cable"
ROBOT, GPU = "10.232.0.1", "10.232.0.2"
START_S = 150
_ENDS = ("sync", "policy", "command")
_MOVING_S = 0.7
"""After so long into an episode both arms move."""


class NoNamespaces(Exception):
    """This machine does not let us make network namespaces."""


def ip(*words: str) -> None:
    """Run `ip`; raises NoNamespaces where that fails."""
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NoNamespaces("no `ip`: install iproute2") from None
    if done.returncode:
        raise NoNamespaces(f"no network namespaces here: ip {' '.join(words)}: {done.stderr.strip()}")


@contextmanager
def cable(multicast: bool) -> Iterator[tuple[str, str]]:
    """Give two network namespaces with a cable between them, the robot's and the GPU's."""
    names = robot, gpu = f"smp_{os.getpid()}_robot", f"smp_{os.getpid()}_gpu"
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", CABLE, "netns", robot, "type", "veth", "peer", "name", CABLE, "netns", gpu)
        for name, address in zip(names, (ROBOT, GPU), strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", CABLE)
            ip("-n", name, "link", "set", CABLE, "multicast", "on" if multicast else "off")
            for device in ("lo", CABLE):
                ip("-n", name, "link", "set", device, "up")
        yield robot, gpu
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def inside(space: str, *command: str) -> list[str]:
    """Return a command in a network namespace, with shared memory of its own."""
    own = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/shm && exec "$@"', "sh"]
    return ["ip", "netns", "exec", space, *own, *command]


def environment(peer: str, multicast: bool) -> dict[str, str]:
    """Return what is set on a machine: the range, and the other machine where multicast does not find it."""
    env = {name: value for name, value in os.environ.items() if "PROFILES_FILE" not in name}
    env["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SUBNET"
    return env if multicast else {**env, "ROS_STATIC_PEERS": peer}


def run(cut_s: float, seconds: float, multicast: bool, grace_s: float) -> dict[str, Any]:
    """Start both sides, measure, cut, and return what the robot's side found; raises NoNamespaces."""
    with ExitStack() as stack:
        robot, gpu = stack.enter_context(cable(multicast))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        up = [sys.executable, "-m", "smp_bringup.cli.main", "up", "--side", "gpu"]
        with (folder / "gpu.log").open("w") as log:
            env = environment(ROBOT, multicast)
            policy = subprocess.Popen(inside(gpu, *up), env=env, stdout=log, stderr=log, start_new_session=True)
            try:
                me = [sys.executable, __file__, "--robot-side", str(folder)]
                words = [f"--cut={cut_s}", f"--seconds={seconds}", f"--grace={grace_s}"]
                subprocess.run(
                    inside(robot, *me, *words), env=environment(GPU, multicast), check=True, timeout=3 * START_S
                )
            finally:
                policy.send_signal(signal.SIGTERM)
                policy.wait(30)
        return json.loads((folder / "figures.json").read_text())


def robot_side(folder: Path, cut_s: float, seconds: float, grace_s: float) -> dict[str, Any]:
    """Run the robot's side against a policy elsewhere, cut the cable, and return what was seen."""
    from smp_bringup.client.graph_client import graph_client
    from smp_bringup.graph import build_graph
    from smp_bringup.launcher import Graph
    from smp_bringup.paths import named_config
    from smp_bringup.robot import load_robot

    safety = folder / "safety.yaml"
    text = named_config("safety", "default").read_text()
    safety.write_text(text.replace("hold_grace_s: 0.5", f"hold_grace_s: {grace_s:g}"))
    graph = build_graph(sim=True, side="robot", task="press_two_buttons", safety=str(safety))
    with Graph(graph, folder / "robot.log") as running, graph_client() as client:
        seen = Watcher(client, load_robot("aloha"), running)
        seen.follow()
        before = seen.quiet(seconds)
        seen.follow()
        client.spin_for(_MOVING_S, running.check)
        return {"before": before, "cut": seen.cut(cut_s)}


class Watcher:
    """Hears the robot's side, and counts what crosses the cable."""

    def __init__(self, client: Any, robot: Any, running: Any) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from trajectory_msgs.msg import JointTrajectory

        from smp_bringup.nodes.messages import COMMAND_TYPES, first_status, status_values
        from smp_bringup.nodes.qos import LATEST, RECORD

        self.client, self.check, self.reports, self.late_ms = client, running.check, {}, []
        self.chunk_s = 0.0
        self.moved_s: dict[str, float] = {}
        self._last: dict[str, tuple[float, ...]] = {}

        def hear(message: DiagnosticArray) -> None:
            if node := client.node_of(first_status(message).name):
                self.reports[node] = status_values(message)
                if node == "command":
                    self.late_ms.append(float(self.reports[node]["late_ms"]))

        def commanded(arm: str, message: Any) -> None:
            position = tuple(message.position)
            if position != self._last.get(arm, position):
                self.moved_s[arm] = time.monotonic()
            self._last[arm] = position

        def answered(_: JointTrajectory) -> None:
            self.chunk_s = time.monotonic()

        client.create_subscription(DiagnosticArray, "/diagnostics", hear, 50)
        client.create_subscription(JointTrajectory, "policy/chunk", answered, LATEST)
        for arm in robot.arms:
            kind = COMMAND_TYPES[arm.command_interface]
            client.create_subscription(kind, arm.command_topic, lambda m, a=arm.name: commanded(a, m), RECORD)

    def follow(self) -> None:
        """Bring the command node to follow the policy's chunks, freshly reset."""
        from smp_bringup.sim.seeds import evaluation_seed

        self.client.start_episode("press_two_buttons", evaluation_seed(0, 0), "policy", self.check)
        self.client.wait(self._follows, START_S, "a chunk to be followed", self.check)

    def _follows(self) -> bool:
        state = self.client.command_state
        return (
            state["mode"] == "policy"
            and state["severity"] in ("PASS", "WARN", "LIMIT")
            and state["chunk_stamp_ns"] != "0"
        )

    def quiet(self, seconds: float) -> dict[str, Any]:
        """Return what crosses the cable in a second, and how long the way to the policy and back takes."""
        from smp_bringup.client.link import link

        begin, links = traffic(), []
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            self.client.spin_for(1.0, self.check)
            way = link(*(self.reports.get(name, {}) for name in _ENDS))
            if way is not None:
                links.append(way)
        took, end = time.monotonic() - start, traffic()
        keep = ("age_ms/observation/p50", "age_ms/observation/p99", "stamp_to_chunk_ms/p50", "stamp_to_chunk_ms/p99",
                "age_ms/chunk/p50", "age_ms/chunk/p99")  # fmt: skip
        return {
            "seconds": round(took, 2),
            "robot_to_gpu_bytes_s": round((end[1] - begin[1]) / took),
            "gpu_to_robot_bytes_s": round((end[0] - begin[0]) / took),
            "round_trip_ms": sorted(way.round_trip_ms for way in links),
            "clock_ms": sorted(way.clock_ms for way in links),
            "command_late_ms": max(self.late_ms, default=0.0),
            **{name: {k: v for k, v in self.reports.get(name, {}).items() if k in keep} for name in _ENDS},
        }

    def cut(self, cut_s: float) -> dict[str, Any]:
        """Cut the cable for a while; return when the arms were held, stood still, and followed again [s]."""
        self.late_ms.clear()
        down = time.monotonic()
        ip("link", "set", CABLE, "down")
        found: dict[str, Any] = {}
        states: list[tuple[float, str, str]] = []

        def look(since: float) -> dict[str, str]:
            self.check()
            self.client.spin(0.01)
            state = self.client.command_state
            words = state["mode"], f"{state['severity']} {state['check']}: {state['reason']}"
            if not states or states[-1][1:] != words:
                states.append((round(time.monotonic() - since, 3), *words))
            return state

        while time.monotonic() - down < cut_s:
            state = look(down)
            if "held_s" not in found and state["severity"] in ("HOLD", "FAULT"):
                found |= {"held_s": round(time.monotonic() - down, 3), "reason": state["reason"]}
        found["last_motion_s"] = {arm: round(at - down, 3) for arm, at in self.moved_s.items()}
        found["during"] = list(states)
        states.clear()
        up = time.monotonic()
        ip("link", "set", CABLE, "up")
        latched = self.client.command_state["mode"] == "fault"
        self.client.wait(lambda: self.chunk_s > up, START_S, "a chunk", self.check)
        found["chunk_again_s"] = round(self.chunk_s - up, 3)
        if latched:  # as an operator would: reset, arm, use_policy
            self.client.follow("policy", self.check)
        while not self._follows():
            look(up)
            if time.monotonic() - up > START_S:
                raise SystemExit(f"not followed again: {states}")
        found |= {"latched": latched, "followed_again_s": round(time.monotonic() - up, 3), "after": list(states)}
        self.client.spin_for(1.2, self.check)
        return found | {"command_late_ms": max(self.late_ms, default=0.0)}


def traffic() -> tuple[int, int]:
    """Return how many bytes have come from the cable, and gone into it."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counts = line.partition(":")
        if name.strip() == CABLE:
            words = counts.split()
            return int(words[0]), int(words[8])
    raise RuntimeError("no cable in this namespace")


def main() -> None:
    """Measure with static peers, or with multicast; print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cut", type=float, default=2.0, help="how long the cable is cut [s]")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long traffic is counted [s]")
    parser.add_argument("--grace", type=float, default=0.5, help="hold_grace_s of the safety settings [s]")
    parser.add_argument(
        "--multicast", action="store_true", help="find each other by multicast, not by ROS_STATIC_PEERS"
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--robot-side", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.robot_side:
        figures = robot_side(asked.robot_side, asked.cut, asked.seconds, asked.grace)
        (asked.robot_side / "figures.json").write_text(json.dumps(figures))
        return
    try:
        figures = run(asked.cut, asked.seconds, asked.multicast, asked.grace)
    except NoNamespaces as error:
        raise SystemExit(f"error: {error}") from None
    text = json.dumps({"multicast": asked.multicast, "grace_s": asked.grace, "cut_s": asked.cut, **figures}, indent=1)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
