"""How many of 100 frames of stock camera drivers reach the running sync node, and how late: for docs/dataflow.md.

As root: python tools/camera_frames.py --json docs/results/camera_frames.json [--only WORD] [--cyclone SITE_PACKAGES]
Every case has network namespaces of its own, so that nothing leaves the machine.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
DRIVER, CYCLONE = (ROOT / "tests/system" / name for name in ("stock_driver.py", "cyclone_driver.py"))
FRAMES, DOMAIN = 100, "63"
_OWN_MEMORY = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/shm && exec "$@"', "sh")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Case:
    """One driver, or several of a kind, and where they run."""

    reliability: str
    size: tuple[int, int] = (640, 480)
    form: str = "rgb8"
    cameras: int = 1
    where: str = "same"
    """same; memory: its own /dev/shm; network: another network namespace, with its own /dev/shm."""
    driver: str = "stock"
    """stock, ours (with our Fast DDS profile), or cyclone."""

    @property
    def name(self) -> str:
        """The case in words."""
        width, height = self.size
        return f"{self.driver} {self.reliability} {self.cameras}x{width}x{height} {self.form} {self.where}"


BOTH = ("reliable", "best_effort")
HD = (1280, 720)
CASES = (
    *(Case(r, size) for size in ((640, 480), HD) for r in BOTH),
    *(Case(r, size, "jpeg") for size in ((640, 480), HD) for r in BOTH),
    *(Case(r, cameras=2) for r in BOTH),
    *(Case(r, HD, cameras=2) for r in BOTH),
    *(Case(r, size, driver="ours") for size in ((640, 480), HD) for r in BOTH),
    *(Case(r, where=where, cameras=2) for where in ("memory", "network") for r in BOTH),
    *(Case(r, HD, where=where) for where in ("memory", "network") for r in BOTH),
    *(Case(r, driver="cyclone", where=where) for where in ("same", "network") for r in BOTH),
)


def ip(*words: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *words], check=True)


class Spaces:
    """Two network namespaces with a cable between them."""

    def __enter__(self) -> "Spaces":
        self.names = tuple(f"frames_{os.getpid()}_{side}" for side in "ab")
        for name in self.names:
            ip("netns", "add", name)
        ip(
            "link",
            "add",
            "cable",
            "netns",
            self.names[0],
            "type",
            "veth",
            "peer",
            "name",
            "cable",
            "netns",
            self.names[1],
        )
        for k, name in enumerate(self.names):
            ip("-n", name, "address", "add", f"10.232.0.{k + 1}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        time.sleep(2.0)  # the cable is usable once both ends are up
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def environment(reach: str) -> dict[str, str]:
    """Return the environment of a process in the range, without any profile."""
    env = {k: v for k, v in os.environ.items() if "PROFILES_FILE" not in k and k != "ROS_AUTOMATIC_DISCOVERY_RANGE"}
    return env | {"ROS_DOMAIN_ID": DOMAIN} | ({"ROS_AUTOMATIC_DISCOVERY_RANGE": reach} if reach else {})


def ours(case: Case, socket: int, folder: Path) -> dict[str, str]:
    """Return the environment of sync; with a socket of so many bytes, as of a kernel that gives no more."""
    reach, name = ("SUBNET", "fastdds_network.xml") if case.where == "network" else ("LOCALHOST", "fastdds.xml")
    if not socket:
        return environment(reach)
    text = (ROOT / "config" / name).read_text()
    own = folder / name
    own.write_text(re.sub(r"(<receiveBufferSize>)\d+", rf"\g<1>{socket}", text))
    return environment(reach.replace("LOCALHOST", "SYSTEM_DEFAULT")) | {"FASTDDS_DEFAULT_PROFILES_FILE": str(own)}


def robot_file(case: Case, folder: Path) -> Path:
    """Write a robot with the case's cameras."""
    data = yaml.safe_load((ROOT / "config/robots/aloha.yaml").read_text())
    width, height = case.size
    small = {"observation_width": 96, "observation_height": 96, "rate_hz": 30}
    end = "/compressed" if case.form == "jpeg" else ""
    data["cameras"] = [
        {"name": f"c{k}", "topic": f"/c{k}/image_raw{end}", "width": width, "height": height, **small}
        for k in range(case.cameras)
    ]
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def driver(case: Case, k: int, space: str, cyclone: str) -> subprocess.Popen[bytes]:
    """Start a driver in its namespace."""
    end = "/compressed" if case.form == "jpeg" else ""
    topic, size = f"/c{k}/image_raw{end}", [str(side) for side in case.size]
    env = environment("")
    if case.driver == "ours":
        env |= environment("LOCALHOST") | {"FASTDDS_DEFAULT_PROFILES_FILE": str(ROOT / "config/fastdds.xml")}
        env["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SYSTEM_DEFAULT"
    command = [sys.executable, str(DRIVER), topic, "--reliability", case.reliability, "--form", case.form]
    command += ["--size", *size, "--frames", str(FRAMES)]
    if case.driver == "cyclone":
        env |= {"PYTHONPATH": cyclone, "CYCLONEDDS_URI": _cyclone_settings(case.where)}
        command = [sys.executable, str(CYCLONE), case.reliability, topic, *size, str(FRAMES)]
    own = [] if case.where == "same" else list(_OWN_MEMORY)
    return subprocess.Popen(["ip", "netns", "exec", space, *own, *command], env=env)


def _cyclone_settings(where: str) -> str:
    """Return what a user of CycloneDDS sets to stay on one machine; on a network it has its defaults."""
    if where == "network":
        return ""
    return (
        "<CycloneDDS><Domain><General><Interfaces><NetworkInterface name='lo' multicast='false'/></Interfaces>"
        "</General><Discovery><ParticipantIndex>auto</ParticipantIndex>"
        "<Peers><Peer address='127.0.0.1'/></Peers></Discovery>"
        "</Domain></CycloneDDS>"
    )


def measure(case: Case, spaces: Spaces, cyclone: str, socket: int) -> dict[str, object]:
    """Run sync, a listener to its diagnostics, and the drivers; return what arrived."""
    here, there = spaces.names
    with tempfile.TemporaryDirectory() as folder:
        env = ours(case, socket, Path(folder))
        robot = robot_file(case, Path(folder))
        inside = ["ip", "netns", "exec", here, sys.executable]
        node = [*inside, "-m", "smp_bringup.nodes.sync_node", "--ros-args", "-p", f"robot:={robot}"]
        log = (Path(folder) / "sync.log").open("wb")
        sync = subprocess.Popen(node, env=env, stdout=log, stderr=log)
        ear = subprocess.Popen([*inside, __file__, "--ear"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(3.0)
        before, start = _cpu_s(sync.pid), time.monotonic()
        drivers = [driver(case, k, there if case.where == "network" else here, cyclone) for k in range(case.cameras)]
        for one in drivers:
            try:
                one.wait(60.0)
            except subprocess.TimeoutExpired:  # nobody listened
                one.terminate()
        used = (_cpu_s(sync.pid) - before) / (FRAMES / 30)
        took = time.monotonic() - start
        time.sleep(1.5)
        heard = json.loads(ear.communicate(b"\n", timeout=20)[0] or b"{}")
        sync.terminate()
        sync.wait(10)
    counts = [int(heard.get("received", {}).get(f"c{k}", 0)) for k in range(case.cameras)]
    return {
        **asdict(case),
        "heard": counts,
        "age_ms": heard.get("age_ms"),
        "cpu": round(used, 3),
        "took_s": round(took, 1),
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def listen() -> None:
    """Collect what sync says on /diagnostics until a line comes; print counts, and ages [ms]."""
    import select

    from diagnostic_msgs.msg import DiagnosticArray

    from smp_bringup.client.graph_client import graph_client
    from smp_bringup.nodes.messages import status_values

    received: dict[str, str] = {}
    p50: list[float] = []
    p99: list[float] = []

    def on_diagnostics(message: DiagnosticArray) -> None:
        for key, value in status_values(message).items():
            if key.startswith("received/"):
                received[key.removeprefix("received/")] = value
            elif key.startswith("age_ms/c"):
                {"p50": p50, "p99": p99}.get(key.rsplit("/", 1)[1], []).append(float(value))

    with graph_client("ear") as client:
        client.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 10)
        client.wait(lambda: bool(select.select([sys.stdin], [], [], 0)[0]), 120, "the end")
    ages = {"p50": round(statistics.median(p50), 1), "p99": max(p99)} if p50 else None
    print(json.dumps({"received": received, "age_ms": ages}))


def table(cases: dict[str, dict[str, Any]]) -> str:
    """Return the rows as a table: what was heard of each camera, and age p50 and p99 [ms], by reliability."""
    lines = ["| driver | where | images | reliable | best effort |", "|---|---|---|---|---|"]
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for name, case in cases.items():
        kind = f"{case['driver']}{', socket 212992' if 'socket' in name else ''}"
        images = f"{case['cameras']} x {case['size'][0]}x{case['size'][1]} {case['form']}"
        ages = "" if case["age_ms"] is None else f"; {case['age_ms']['p50']:.1f}, {case['age_ms']['p99']:.0f}"
        said = " + ".join(map(str, case["heard"])) + ages
        rows.setdefault((kind, case["where"], images), {})[case["reliability"]] = said
    lines += [f"| {' | '.join(key)} | {' | '.join(said.get(r, '') for r in BOTH)} |" for key, said in rows.items()]
    return "\n".join(lines)


def main() -> None:
    """Measure every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where the rows go; those of cases that are left out stay")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument(
        "--cyclone", default="", help="folder with the package cyclonedds; without it those are left out"
    )
    parser.add_argument("--socket", type=int, default=0, help="bytes of sync's socket, as of an older kernel")
    parser.add_argument("--table", action="store_true", help="print what the file holds, measure nothing")
    parser.add_argument("--ear", action="store_true", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.table:
        print(table(json.loads(said.json.read_text())["cases"]))
        return
    if said.ear:
        listen()
        return
    rmem = int(Path("/proc/sys/net/core/rmem_max").read_text())
    about = {"kernel": platform.release(), "rmem_max": rmem, "cores": os.cpu_count(), "frames": FRAMES}
    rows = json.loads(said.json.read_text())["cases"] if said.json and said.json.exists() else {}
    for case in CASES:
        if said.only not in case.name or (case.driver == "cyclone" and not said.cyclone):
            continue
        with Spaces() as spaces:
            row = measure(case, spaces, said.cyclone, said.socket)
        name = f"{case.name}, socket {said.socket}" if said.socket else case.name
        rows[name] = row
        print(name, row["heard"], row["age_ms"], row["cpu"], flush=True)
        if said.json:
            said.json.write_text(json.dumps({**about, "cases": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
