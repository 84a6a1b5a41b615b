"""The whole graph with the simulated robot: its processes are killed, and the arms must be held."""

import signal
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from subprocess import Popen

from smp_bringup.chaos.after import After, judge_gone, judge_there
from smp_bringup.chaos.ear import Ear
from smp_bringup.chaos.judged import Judged
from smp_bringup.client.answers import GraphError
from smp_bringup.client.graph_client import GraphClient
from smp_bringup.errors import ConfigError, SmpError
from smp_bringup.graph import build_graph
from smp_bringup.launcher import Graph
from smp_bringup.paths import FLAGSHIP
from smp_bringup.pipeline import build_policy
from smp_bringup.policy.checkpoint import find_model
from smp_bringup.robot import Robot, load_robot
from smp_bringup.safety.modes import Mode

KILLS = "F29"
_TASK, _SEED = "lift_tray", 2
_QUIET_S = 0.3
_FAST = 0.1
_AFTER = After(Mode.FAULT, "source_fresh")
_BLOCKED = After(Mode.FAULT, "state_fresh")
"""One that is killed while it holds a lock of Fast DDS makes those that write to it wait for a second (docs/safety.md):
where that is the driver, its silence comes first."""
_FAILURES = 10
"""So many graphs may not come so far as to follow a policy, on a machine that is too busy for them."""


def require_simulated(robot: Robot) -> None:
    """Raise ConfigError for a robot that is not simulated, or that the shipped policy was not trained for."""
    try:
        if not robot.simulation:
            raise ConfigError(f"robot '{robot.name}' has no simulation")
        build_policy(find_model(FLAGSHIP), robot)
    except SmpError as error:
        raise ConfigError(
            f"{KILLS} kills {FLAGSHIP} in the simulator: {error}; leave {KILLS} out of --faults"
        ) from None


def kill_policies(
    client: GraphClient, robot: str, repeats: int, log: Path, progress: Callable[[int, int], None]
) -> tuple[list[float], Ear, str]:
    """Kill the policy process again and again while it is followed, until the command node does not do as it should.

    Args:
        client: hears every graph.
        robot: name or YAML path of a robot that `require_simulated` takes.
        repeats: kills.
        log: of the graphs.
        progress: told of every kill.

    Returns:
        The time from each kill to rest [ms], what was heard of the commands, and what was not as it should be.
    """
    seen, took, failed = Judged(client, load_robot(robot), _FAST), list[float](), 0
    while len(took) < repeats:
        progress(len(took), repeats)
        _drain(seen)
        seen.ear.killed(another_robot=True)
        client.command_state, client.sim_state = {}, {}
        with Graph(build_graph(robot=robot, model=FLAGSHIP, sim=True, task=_TASK), log) as graph:
            seen.alive, begun = graph.check, False
            try:
                client.start_episode(_TASK, _SEED, "policy", seen.check)
                begun = True
                took.append(_kill(seen, graph.processes["policy"], wait=not took))
            except GraphError as error:
                failed += 1  # a machine too busy to bring up the graph in time may let it fault before
                if begun or failed > _FAILURES:
                    return [*took, inf], seen.ear, f"{len(took) + 1} of {repeats}: {error}"
    _drain(seen)  # whoever leaves while others do may be locked up in Fast DDS, see `nodes.closing`
    return took, seen.ear, ""


def _drain(seen: Judged) -> None:
    """Hear what a graph that has ended still said."""
    heard, seen.alive = -1, lambda: None
    while heard != seen.ear.heard:
        heard = seen.ear.heard
        seen.client.spin_for(_QUIET_S)


def _kill(seen: Judged, policy: Popen[bytes], wait: bool) -> float:
    """Kill the policy process at speed; return how long until the arms are told to stand still [ms]."""
    seen.until(lambda: seen.at_speed, 20.0, "speed")
    begun = time.monotonic()
    policy.send_signal(signal.SIGKILL)
    seen.until(lambda: seen.mode == "fault" and seen.ear.still, 5.0, "the fault and rest")
    took = (time.monotonic() - begun) * 1e3
    after = _BLOCKED if seen.client.command_state["check"] == _BLOCKED.check else _AFTER
    judge_there(seen, after, wait)
    judge_gone(seen, after, wait)
    return took
