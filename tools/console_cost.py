"""Measures what `smp console` takes of a core beside the simulated graph: two cameras shown, and nobody there.

Run: .venv/bin/python tools/console_cost.py [SECONDS]
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from console_party import Live, console

from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph

CAMERAS = ("overview", "wrist_left")
CONTROL = ("rate of commands", "command cycle late, p99")


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def control(live: Live, last: int) -> str:
    """Return what the command node said of its cycles in the last seconds, medians."""
    said = {row["name"]: (median(row["values"][-last:]), row["unit"]) for row in live.figures}
    return ", ".join(f"{name} {said[name][0]:.2f} {said[name][1]}" for name in CONTROL)


def measure(seconds: float) -> None:
    """Print both figures, and what the machine had to do besides."""
    with tempfile.TemporaryDirectory() as folder, Graph(build_graph(sim=True), Path(folder, "log")), console() as page:
        with page.socket("/live") as socket:
            live = Live(socket)
            live.until(lambda state: state["alive"] and state["gate"])
            start, spent, pictures = time.monotonic(), cpu_s(page.process.pid), 0
            while time.monotonic() - start < seconds:
                live.pictures.clear()
                live.draw(" ".join(["camera", *CAMERAS]))
                pictures += len(live.pictures)
            shown = (cpu_s(page.process.pid) - spent) / (time.monotonic() - start)
            rate = pictures / len(CAMERAS) / (time.monotonic() - start)
            with_it = control(live, round(seconds))
        start, spent = time.monotonic(), cpu_s(page.process.pid)
        time.sleep(seconds)
        alone = (cpu_s(page.process.pid) - spent) / (time.monotonic() - start)
        with page.socket("/live") as socket:
            live = Live(socket)
            live.draw("camera")
            without = control(live, round(seconds))
    print(f"two cameras: {shown:.1%} of a core, {rate:.1f} pictures a second each; nobody there: {alone:.1%}")
    print(f"the command node, two cameras shown: {with_it}; nobody there: {without}")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    measure(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
