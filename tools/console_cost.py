"""Measures what `smp console` and the black box take of a core beside the simulated graph, and what control keeps.

Run: .venv/bin/python tools/console_cost.py [SECONDS]
Three times so long: two cameras shown, lists and an episode read anew every second, and no browser.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import json

from console_party import Console, Live, console, episode_bag

from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph

CAMERAS = ("overview", "wrist_left")
CONTROL = ("rate of commands", "command cycle late, p99")
EPISODES, START_S = 20, 120


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process and those it started have used [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + sum(cpu_s(int(child)) for child in children)


def control(served: Console, last: int) -> str:
    """Return what the command node said of its cycles in the last seconds, medians."""
    with served.socket("/live") as socket:
        live = Live(socket)
        live.draw("camera")
        said = {row["name"]: (median(row["values"][-last:]), row["unit"]) for row in live.figures}
    return ", ".join(f"{name} {said[name][0]:.2f} {said[name][1]}" for name in CONTROL)


def look(served: Console, seconds: float) -> str:
    """Show two cameras for a while; return how often."""
    with served.socket("/live") as socket:
        live, pictures, start = Live(socket), 0, time.monotonic()
        while time.monotonic() - start < seconds:
            live.pictures.clear()
            live.draw(" ".join(["camera", *CAMERAS]))
            pictures += len(live.pictures)
        return f"two cameras at {pictures / len(CAMERAS) / (time.monotonic() - start):.1f} pictures a second each"


def read(served: Console, seconds: float) -> str:
    """Read the lists and an episode once a second, as no person does."""
    start = time.monotonic()
    for k in range(round(seconds)):
        entries = json.loads(served.get("/data")[2])["entries"]
        served.get("/stops")
        served.get(f"/data/{entries[k % len(entries)]['id']}")
        time.sleep(max(0.0, start + k + 1 - time.monotonic()))
    return f"lists of {EPISODES} episodes and one of them, read every second"


def begin_to_read(served: Console) -> None:
    """Wait for the first list: a process of its own begins for it."""
    end = time.monotonic() + START_S
    while True:
        try:
            served.get("/data")
            return
        except TimeoutError:
            if time.monotonic() > end:
                raise SystemExit(f"console_cost: no list of episodes within {START_S} s") from None


def rest(_: Console, seconds: float) -> str:
    """Do nothing."""
    time.sleep(seconds)
    return "no browser"


def measure(folder: Path, seconds: float) -> None:
    """Print the figures, and what the machine had to do besides."""
    for k in range(EPISODES):
        episode_bag(folder / "data" / "lift" / f"episode_{k:05d}", "lift the box", k)
    graph = build_graph(sim=True, blackbox=str(folder / "stops"))
    shown = ("--data", str(folder / "data"), "--stops", str(folder / "stops"))
    whiles: list[Callable[[Console, float], str]] = [look, read, rest]
    with Graph(graph, folder / "log") as running, console(*shown) as served:
        with served.socket("/live") as socket:
            Live(socket).until(lambda state: state["alive"] and state["gate"])
        begin_to_read(served)
        pids = {"console": served.process.pid, "black box": running.processes["blackbox"].pid}
        for each in whiles:
            start, before = time.monotonic(), {name: cpu_s(pid) for name, pid in pids.items()}
            what = each(served, seconds)
            spent = {name: (cpu_s(pid) - before[name]) / (time.monotonic() - start) for name, pid in pids.items()}
            took = ", ".join(f"{name} {share:.1%} of a core" for name, share in spent.items())
            print(f"{what}: {took}; {control(served, round(seconds))}", flush=True)
    print(f"{date.today()}, load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        measure(Path(scratch), float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
