"""Runs the faults of `smp chaos` and judges them."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from smp_bringup.chaos.faults import ALLOWANCE_MS, FAULTS
from smp_bringup.chaos.kills import kill_policies
from smp_bringup.chaos.rig import HEARTBEAT_S, ChaosRig
from smp_bringup.client.graph_client import GraphError
from smp_bringup.nodes import realtime
from smp_bringup.paths import named_config
from smp_bringup.robot import Robot
from smp_bringup.stats import percentiles

KILLS, NORMAL = "F29", "normal"
NORMAL_S = 120.0
_LATE_MS, _GAP_MS = 8.0, 50.0
"""What normal running must keep: lateness of a cycle at the 99th percentile, and the longest gap."""
_KILL_BOUND_MS = 1200.0
"""A chunk commands for 0.6 s; then the arms are braked, and the hold becomes a fault after 0.5 s."""


@dataclass(frozen=True)
class Row:
    """What was measured of one fault."""

    id: str
    what: str
    bound_ms: float
    p50_ms: float
    max_ms: float
    n: int
    passed: bool
    note: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the row with the keys of the report."""
        row = asdict(self)
        row["pass"] = row.pop("passed")
        return row


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Run so many processes that do nothing but compute."""
    loads = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for load in loads:
            load.kill()
            load.wait()


Progress = Callable[[str, int, int], None]
"""Called with the name of a fault, how often it was injected, and how often it will be."""


def run_chaos(
    robot: Robot,
    names: Sequence[str],
    seed: int,
    scale: float,
    out: Path,
    fifo: bool = False,
    progress: Progress = lambda *_: None,
) -> Iterator[Row]:
    """Inject faults, `scale` times as often as usual; yield a row for each, and at last those of the whole run.

    Args:
        robot: that is played.
        names: of the faults.
        seed: of times, joints and values.
        scale: of the numbers of repetitions.
        out: folder of the logs.
        progress: told of every injection.
        fifo: make this process real-time for good, where that is granted: what plays and measures must not be late.
    """
    inside = [name for name in names if name not in (KILLS, NORMAL)]
    if NORMAL in names:
        with ChaosRig(robot, _settings(out), out / "command.log") as rig:
            realtime.apply("prefer" if fifo else "off", "")
            yield from _normal(rig, NORMAL_S * scale, progress)
    if inside:
        with ChaosRig(robot, _settings(out), out / "command.log") as rig:
            realtime.apply("prefer" if fifo else "off", "")
            for name in inside:
                yield _one(rig, name, np.random.default_rng(seed), scale, progress)
            law, ear = rig.ear.judge(), rig.ear
            yield Row("law", "commands outside the output law", 0, 0, len(law), ear.heard, not law, str(law[:3] or ""))
            yield Row("still", "commands that moved arms at rest", 0, 0, ear.moved, ear.heard, not ear.moved)
            odd, skew = ear.unpaired(), percentiles(ear.skew_ms)
            yield Row("stamp", "cycles without one stamp for both arms", 0, 0, odd, ear.heard, not odd)
            passed = skew["max"] <= ALLOWANCE_MS
            yield Row("skew", "between sending both arms", ALLOWANCE_MS, skew["p50"], skew["max"], ear.heard, passed)
    if KILLS in names:
        took, ear, law = kill_policies(robot, max(1, round(50 * scale)), out / "graph.log", partial(progress, KILLS))
        bad = bool(law or ear.moved)
        stats, bound = percentiles(took), _KILL_BOUND_MS + ALLOWANCE_MS
        what = "the policy is killed at speed: until rest"
        yield Row(
            KILLS,
            what,
            bound,
            stats["p50"],
            stats["max"],
            len(took),
            stats["max"] <= bound and not bad,
            f"{law[:3]}, {ear.moved} moved" if bad else "",
        )


def _normal(rig: ChaosRig, duration_s: float, progress: Progress) -> Iterator[Row]:
    """Let everything be well for a while; yield how late cycles were, the longest gap, and what tripped."""
    rig.follow()
    ear = next(iter(rig.ear.arms.values()))
    first, trips, tripped = len(ear.stamps), list[str](), False
    end = time.monotonic() + duration_s
    while (left_s := end - time.monotonic()) > 0:
        progress(NORMAL, round(duration_s - left_s), round(duration_s))
        rig.spin(0.02)
        state = rig.client.command_state
        if (trips_now := state["severity"] in ("HOLD", "FAULT")) and not tripped:
            trips.append(state["reason"])
        tripped = trips_now
        if rig.mode == "fault":
            rig.follow()
    gaps = np.diff(np.array(ear.stamps[first:])) / 1e6  # a stamp is the time of its cycle, and a period
    late = percentiles(list(np.maximum(0.0, gaps - rig.robot.control_period_s * 1e3)))
    rate, n = 1e3 / float(gaps.mean()), len(gaps)
    yield Row("late", "lateness of a cycle, p99", _LATE_MS, late["p50"], late["p99"], n, late["p99"] <= _LATE_MS)
    yield Row(
        "gap",
        "longest gap between commands",
        _GAP_MS,
        float(np.median(gaps)),
        float(gaps.max()),
        n,
        bool(gaps.max() <= _GAP_MS),
    )
    yield Row("rate", f"commands a second: {rate:.2f}", 0, 0, 0, n, abs(rate - 1 / rig.robot.control_period_s) < 1)
    yield Row(
        "trips",
        f"holds and faults in {duration_s:.0f} s of normal running",
        0,
        0,
        len(trips),
        n,
        not trips,
        "; ".join(trips),
    )


def _one(rig: ChaosRig, name: str, rng: np.random.Generator, scale: float, progress: Progress) -> Row:
    """Inject one fault repeatedly."""
    fault = FAULTS[name]
    bound = fault.bound_ms + (ALLOWANCE_MS if fault.bound_ms else 0.0)
    took: list[float] = []
    failed = ""
    repeats = max(1, round(fault.repeats * scale))
    for k in range(repeats):
        progress(name, k, repeats)
        try:
            took.append(fault.inject(rig, rng))
        except GraphError as error:
            took.append(float("inf"))
            failed = str(error)
    finite = [ms for ms in took if np.isfinite(ms)]
    stats = percentiles(finite)
    passed = len(finite) == len(took) and stats["max"] <= bound
    return Row(name, fault.what, bound, stats["p50"], stats["max"], len(took), passed, failed)


def _settings(out: Path) -> Path:
    """Write the shipped safety settings with a heartbeat of the emergency stop; return the file."""
    settings = yaml.safe_load(named_config("safety", "default").read_text(encoding="utf-8"))
    path = out / "safety.yaml"
    path.write_text(yaml.safe_dump({**settings, "estop_heartbeat_s": HEARTBEAT_S}), encoding="utf-8")
    return path
