"""Runs the faults of `smp chaos` and judges them."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from smp_bringup.chaos.after import judge_gone, judge_there
from smp_bringup.chaos.ear import Ear
from smp_bringup.chaos.faults import ALLOWANCE_MS, FAULTS, Fault
from smp_bringup.chaos.kills import KILLS, kill_policies, require_simulated
from smp_bringup.chaos.rig import HEARTBEAT_S, ChaosRig, chaos_rig
from smp_bringup.chaos.row import Row, counted, timed
from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import graph_client
from smp_bringup.config import read_yaml
from smp_bringup.graph import NODES
from smp_bringup.nodes import realtime
from smp_bringup.paths import named_config
from smp_bringup.robot import load_robot
from smp_bringup.stats import percentiles

NORMAL = "normal"
NORMAL_S = 120.0
_LATE_MS, _GAP_MS = 8.0, 50.0
"""What normal running must keep: lateness of a cycle at the 99th percentile, and the longest gap."""
_KILL_BOUND_MS = 1200.0
"""A chunk commands for 0.6 s; then the arms are braked, and the hold becomes a fault after 0.5 s."""

Progress = Callable[[str, int, int], None]
"""Called with the name of a fault, how often it was injected, and how often it will be."""


@dataclass(frozen=True)
class Plan:
    """What is broken, and how often."""

    robot: str
    """Name or YAML path of the robot that is played, and that every process is started with."""
    names: Sequence[str]
    """Of the faults."""
    out: Path
    """Folder of the logs, which exists."""
    safety: str = "default"
    """Name or YAML path of the safety settings, which get a heartbeat of the emergency stop."""
    seed: int = 0
    """Of times, joints and values."""
    scale: float = 1.0
    """Every fault is injected so many times as often as usual."""
    package: str = NODES
    """That holds the command node: what plants faults in it is another."""
    fifo: bool = False
    """Make this process real-time for good, where that is granted: what plays and measures must not be late."""

    def repeats(self, usual: int) -> int:
        """Return how often what is usually injected so often is injected here."""
        return max(1, round(usual * self.scale))


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


def run_chaos(plan: Plan, progress: Progress = lambda *_: None) -> Iterator[Row]:
    """Inject faults; yield a row for each, and after those of one command node the rows of the laws it must keep.

    Raises:
        ConfigError: the robot cannot be played, or not be simulated where that is asked for.
    """
    if KILLS in plan.names:
        require_simulated(load_robot(plan.robot))
    if NORMAL in plan.names:
        with _rig(plan) as rig:
            yield from _normal(rig, NORMAL_S * plan.scale, progress)
    inside = [name for name in plan.names if name not in (KILLS, NORMAL)]
    if inside:
        with _rig(plan) as rig:
            broken = ""
            for name in inside:
                row = _one(rig, name, plan, progress, broken)
                yield row
                if row.note and not broken:
                    broken = _start_anew(rig)
            with suppress(GraphError):  # a command node that does not obey has failed, and is judged all the same
                rig.conclude()
            yield from laws(rig.ear)
    if KILLS in plan.names:
        log = plan.out / "graph.log"
        with graph_client("smp_chaos") as client:  # whose closing may hang: what was measured is told before
            yield kills_row(*kill_policies(client, plan.robot, plan.repeats(50), log, partial(progress, KILLS)))


@contextmanager
def _rig(plan: Plan) -> Iterator[ChaosRig]:
    with chaos_rig(plan.robot, _settings(plan), plan.out / "command.log", plan.package) as rig:
        realtime.apply("prefer" if plan.fifo else "off", "")
        realtime.freeze()  # a collection of all that was imported takes longer than most bounds allow
        yield rig


def _settings(plan: Plan) -> Path:
    """Write the safety settings with a heartbeat of the emergency stop; return the file."""
    settings = read_yaml(named_config("safety", plan.safety))
    path = plan.out / "safety.yaml"
    path.write_text(yaml.safe_dump({**settings, "estop_heartbeat_s": HEARTBEAT_S}), encoding="utf-8")
    return path


def _start_anew(rig: ChaosRig) -> str:
    """Start a command node in place of one that failed and may be in any state; return why there is none, or ""."""
    try:
        rig.start()
    except GraphError as error:
        return f"not injected, there is no command node: {error}"
    return ""


def _one(rig: ChaosRig, name: str, plan: Plan, progress: Progress, broken: str) -> Row:
    """Inject one fault repeatedly, until the command node does not do as it should; not at all where it is `broken`."""
    fault, repeats = FAULTS[name], plan.repeats(FAULTS[name].repeats)
    rng = np.random.default_rng(plan.seed)
    took, failed = list[float](), broken
    for k in range(0 if broken else repeats):
        progress(name, k, repeats)
        try:
            took.append(_injected(rig, fault, rng, wait=k == 0))
        except GraphError as error:
            took.append(float("inf"))
            failed = f"{k + 1} of {repeats}: {error}"
            break
    bound = fault.bound_ms + (ALLOWANCE_MS if fault.bound_ms else 0.0)
    return timed(name, fault.what, bound, took, failed)


def _injected(rig: ChaosRig, fault: Fault, rng: np.random.Generator, wait: bool) -> float:
    """Inject a fault once and judge what comes after; return how long the reaction took [ms]."""
    with fault.inject(rig, rng) as took:
        judge_there(rig, fault.after, wait)
    rig.mend()
    judge_gone(rig, fault.after, wait)
    return took


def laws(ear: Ear) -> Iterator[Row]:
    """Yield what every command of a run must keep."""
    broken = ear.judge()
    yield counted("law", "commands outside the output law", len(broken), ear.heard, str(broken[:3] or ""))
    yield counted("still", "commands that moved arms at rest", ear.moved, ear.at_rest)
    yield counted("stamp", "cycles without one stamp for all arms", ear.unpaired(), ear.heard)
    yield timed("skew", "between sending to the first arm and the last", ALLOWANCE_MS, ear.skew_ms)


def kills_row(took_ms: Sequence[float], ear: Ear, note: str = "") -> Row:
    """Return the row of killed policies: the times until rest [ms], what the arms were told meanwhile, what failed."""
    broken = ear.judge()
    bad = note or (f"{broken[:3]}, {ear.moved} moved" if broken or ear.moved else "")
    return timed(KILLS, "the policy is killed at speed: until rest", _KILL_BOUND_MS + ALLOWANCE_MS, took_ms, bad)


def _normal(rig: ChaosRig, duration_s: float, progress: Progress) -> Iterator[Row]:
    """Let everything be well for a while; yield how late cycles were, the longest gap, and what tripped."""
    ear = next(iter(rig.ear.arms.values()))
    first, trips = 0, list[str]()
    try:
        rig.follow()
        first = len(ear.stamps)
        for reason in _trips(rig, duration_s, progress):
            trips.append(reason)
    except GraphError as error:
        trips.append(str(error))
    gaps_ms = (np.diff(np.array(ear.stamps[first:])) / 1e6).tolist()  # a stamp is the time of its cycle, and a period
    yield from normal_rows(gaps_ms, rig.robot.control_period_s, trips)


def _trips(rig: ChaosRig, duration_s: float, progress: Progress) -> Iterator[str]:
    """Let time pass; yield the reason of every hold and fault, and follow again after a fault."""
    tripped, end = False, time.monotonic() + duration_s
    while (left_s := end - time.monotonic()) > 0:
        progress(NORMAL, round(duration_s - left_s), round(duration_s))
        rig.client.spin_for(0.02)
        state = rig.client.command_state
        if (trips_now := state["severity"] in ("HOLD", "FAULT")) and not tripped:
            yield state["reason"]
        tripped = trips_now
        if rig.mode == "fault":
            rig.follow()


def normal_rows(gaps_ms: Sequence[float], period_s: float, trips: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of normal running: gaps between commands [ms] that should be a period, and what tripped."""
    n, period_ms = len(gaps_ms), period_s * 1e3
    late = percentiles([max(0.0, gap - period_ms) for gap in gaps_ms])
    yield Row("late", "lateness of a cycle, p99", _LATE_MS, late["p50"], late["p99"], n, late["p99"] <= _LATE_MS)
    yield timed("gap", "longest gap between commands", _GAP_MS, gaps_ms)
    rate = 1e3 * n / sum(gaps_ms) if n else 0.0
    yield Row("rate", f"commands a second: {rate:.2f}", 0, 0, 0, n, abs(rate - 1 / period_s) < 1)
    yield counted("trips", "holds and faults", len(trips), n, "; ".join(trips))
