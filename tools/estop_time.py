"""Measures how long `smp estop` takes from a shell, and what of it a new client waits for its answer.

Run: .venv/bin/python tools/estop_time.py [PRESSES] [--load N] [--profile FILE] [--json FILE]
The whole graph runs with the simulated robot. `--profile` is another Fast DDS profile, for the press and the graph.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

os.environ.setdefault("ROS_DOMAIN_ID", "57")
SMP = str(Path(sys.executable).with_name("smp"))


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presses", nargs="?", type=int, default=40)
    parser.add_argument("--load", type=int, default=0, help="busy processes beside it")
    parser.add_argument("--profile", help="another Fast DDS profile than ours")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def timed_ms(call: Callable[[], object]) -> float:
    """Return how long a call takes [ms]."""
    start = time.monotonic()
    call()
    return (time.monotonic() - start) * 1e3


def verb(name: str) -> None:
    """Run `smp NAME`."""
    subprocess.run([SMP, name], check=True, stdout=subprocess.DEVNULL)


def pressed_by_new_client() -> float:
    """Return how long a new client waits for the answer to its press [ms], from when it sees the service."""
    from std_srvs.srv import SetBool

    from smp_bringup.client.graph_client import graph_client

    with graph_client("newcomer") as client:
        service = client.create_client(SetBool, "command/estop")
        client.wait(service.service_is_ready, 10.0, "the emergency stop's service")
        asked = service.call_async(SetBool.Request(data=True))
        return timed_ms(lambda: client.wait(asked.done, 10.0, "its answer"))


def measure(presses: int) -> dict[str, list[float]]:
    """Press and release so many times; return the times [ms]."""
    took: dict[str, list[float]] = {"smp estop": [], "a new client's press, once it sees the service": []}
    whole, answer = took.values()
    for _ in range(presses):
        whole.append(timed_ms(lambda: verb("estop")))
        verb("release")
        answer.append(pressed_by_new_client())
        verb("release")
    return took


def main() -> None:
    """Start the graph, measure, print."""
    asked = arguments()
    if asked.profile:
        os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = asked.profile
    from smp_bringup.chaos.run import busy
    from smp_bringup.client.graph_client import graph_client
    from smp_bringup.graph import build_graph
    from smp_bringup.launcher import Graph
    from smp_bringup.stats import percentiles

    with tempfile.TemporaryDirectory() as folder:
        graph = Graph(build_graph(sim=True), Path(folder) / "graph.log")
        try:
            with graph_client("waits") as client:
                client.wait(lambda: client.accepts("disarm"), 120.0, "the command node")
            with busy(asked.load):
                took = measure(asked.presses)
        finally:
            graph.stop()
    rows = {name: percentiles(values) for name, values in took.items()}
    for name, row in rows.items():
        print(f"{name}: p50 {row['p50']:.0f}, p99 {row['p99']:.0f}, max {max(took[name]):.0f} ms of {asked.presses}")
    if asked.json:
        told = {"date": str(date.today()), "load": asked.load, "profile": asked.profile or "ours", "ms": took}
        asked.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
