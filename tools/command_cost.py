"""Measures what the command node takes of a core and of memory, and how late its cycles are, of several source trees.

Run: .venv/bin/python tools/command_cost.py --src OTHER_TREE/src --src src --hz 100 500 --seconds 20 --rounds 2

A driver and a teleoperator of two standing arms speak at the control rate; the trees take turns. `--beside` runs sync
and policy with it, which wait for cameras.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

_PATIENCE_S = 60.0
"""Nodes start within so long."""


def drive(robot_file: str, seconds: float) -> None:
    """Speak as driver and teleoperator, arm, lead, and print what /diagnostics says of the command node at the end."""
    from smp_bringup.environment import prepare_environment

    prepare_environment()
    import numpy as np
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from sensor_msgs.msg import JointState
    from std_srvs.srv import Trigger

    from smp_bringup.nodes import qos
    from smp_bringup.nodes.messages import COMMAND_TYPES, joint_state_msg
    from smp_bringup.robot import load_robot

    robot = load_robot(robot_file)
    rclpy.init()
    node, said, home = rclpy.create_node("cost_driver"), [], np.array(robot.joint_array("home"))
    states = [(arm, node.create_publisher(JointState, arm.state_topic, qos.DRIVER)) for arm in robot.arms]
    teleop = node.create_publisher(JointState, "teleop/command", qos.LATEST)

    for joints in robot.command_topics:
        kind = COMMAND_TYPES[joints.arms[0].command_interface]
        node.create_subscription(kind, joints.topic, lambda _: None, qos.LATEST)

    def hear(message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            if "late_p99_ms" in values:
                said.append(values)

    node.create_subscription(DiagnosticArray, "/diagnostics", hear, 10)
    requests = [node.create_client(Trigger, f"command/{name}") for name in ("arm", "use_teleop")]
    begun, next_s, asked, led_s = time.monotonic(), time.monotonic(), 0, 0.0
    while time.monotonic() < (led_s + seconds if led_s else begun + _PATIENCE_S):
        stamp = time.time_ns()
        for arm, publisher in states:
            part = home[robot.arm_slices[arm.name]]
            publisher.publish(joint_state_msg(stamp, tuple(j.name for j in arm.joints), part, 0 * part))
        teleop.publish(joint_state_msg(stamp, robot.joint_names, home, 0 * home))
        if not led_s and said and said[-1]["mode"] == "teleop":
            led_s = time.monotonic()
            said.clear()
            print("led", flush=True)
        if not led_s and time.monotonic() - begun > 2 + 0.2 * asked:  # asked again: discovery takes its time
            client = requests[asked % 2]
            if client.service_is_ready():
                client.call_async(Trigger.Request())
            asked += 1
        for _ in range(3):
            rclpy.spin_once(node, timeout_sec=0)
        next_s = max(next_s + robot.control_period_s, time.monotonic() - 0.1)
        time.sleep(max(0.0, next_s - time.monotonic()))
    print(json.dumps(said), flush=True)
    os._exit(0)


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def disturbed(pid: int) -> dict[str, int]:
    """Return how often a process has waited for a page from the disk, and how often its core was taken from it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    taken = re.search(r"nonvoluntary_ctxt_switches:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    return {"pages_read": int(fields[9]), "core_taken": int(taken[1]) if taken else 0}


def megabytes(pid: int) -> dict[str, float]:
    """Return the memory of a process that is in use, and what it shares with others by segments [MB]."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    size = {key: int(lines[key].split()[0]) / 1e3 for key in ("RssAnon", "RssFile", "RssShmem")}
    return {"own": size["RssAnon"] + size["RssFile"], "shared": size["RssShmem"]}


def measure(tree: str, robot: Path, seconds: float, beside: bool) -> dict[str, object]:
    """Return the figures of one run of one tree's command node."""
    env, word, log = {**os.environ, "PYTHONPATH": tree}, f"robot:={robot}", robot.with_suffix(".log")
    log.write_bytes(b"")

    def node(name: str, *more: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", f"smp_bringup.nodes.{name}_node", "--ros-args", "-p", word, *more]
        with log.open("ab") as file:
            return subprocess.Popen(words, env=env, stdout=file, stderr=file)

    nodes = [node("command"), *([node("sync"), node("policy")] if beside else [])]
    words = [sys.executable, __file__, "--drive", str(robot), "--seconds", str(seconds)]
    driver = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None
        if driver.stdout.readline().strip() != "led":
            raise SystemExit(f"the command node was not led: {log.read_text(encoding='utf-8')[-2000:]}")
        before, start, calm = cpu_s(nodes[0].pid), time.monotonic(), disturbed(nodes[0].pid)
        time.sleep(max(1.0, seconds - 1.5))
        cores = (cpu_s(nodes[0].pid) - before) / (time.monotonic() - start)
        memory, busy = megabytes(nodes[0].pid), disturbed(nodes[0].pid)
        said = json.loads(driver.stdout.read())
    finally:
        driver.kill()
        for each in nodes:
            each.send_signal(signal.SIGINT)
        for each in nodes:
            try:
                each.wait(20)
            except subprocess.TimeoutExpired:
                each.kill()
    cycles = (int(said[-1]["cycles"]) - int(said[0]["cycles"])) / max(1, len(said) - 1)
    late = [float(values["late_p99_ms"]) for values in said]
    modes = sorted({values["mode"] for values in said})
    return {
        "cores": round(cores, 3),
        "memory_mb": {name: round(value) for name, value in memory.items()},
        "disturbed": {name: busy[name] - calm[name] for name in busy},
        "cycles_hz": round(cycles, 1),
        "late_p99_ms": {"median": round(median(late), 3), "max": round(max(late), 3)},
        "modes": modes,
        "errors": sorted({values["error"] for values in said if values.get("error")}),
    }


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--src", action="append", default=[], help="folder to import smp_bringup from; repeat")
    parser.add_argument("--hz", type=int, nargs="+", default=[100])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--beside", action="store_true", help="run sync and policy too")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--drive", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.drive:
        drive(asked.drive, asked.seconds)
    from smp_bringup.paths import named_config

    text, rows = named_config("robots", "aloha").read_text(encoding="utf-8"), []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.rounds):
            for hz in asked.hz:
                robot = Path(folder, f"aloha_{hz}.yaml")
                robot.write_text(text.replace("control_period_s: 0.01", f"control_period_s: {1 / hz:g}"))
                for tree in asked.src or ["src"]:
                    row = {"tree": len(rows) % max(1, len(asked.src)), "hz": hz, "round": number}
                    row |= measure(str(Path(tree).resolve()), robot, asked.seconds, asked.beside)
                    rows.append(row)
                    print(row, f"load {os.getloadavg()[0]:.1f}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
