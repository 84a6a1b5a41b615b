"""Measures what `smp console` takes of a core beside the simulated graph: two cameras shown, and nobody there.

Run: .venv/bin/python tools/console_cost.py [SECONDS]
"""

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from console_party import Live, console

from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph

CAMERAS = ("overview", "wrist_left")


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
        start, spent = time.monotonic(), cpu_s(page.process.pid)
        time.sleep(seconds / 2)
        alone = (cpu_s(page.process.pid) - spent) / (time.monotonic() - start)
    print(f"two cameras: {shown:.1%} of a core, {rate:.1f} pictures a second each; nobody there: {alone:.1%}")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    measure(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
