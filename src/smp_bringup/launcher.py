"""Starts the processes of a graph and stops all of them together: `smp up`, demos, tests.

The official `ros2 launch` starts the same `NodeSpec`s (launch/*.launch.py); this is
for machines that have ROS from PyPI wheels, which have no launch_ros.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO

from smp_bringup.environment import free_shared_memory, prepare_environment, require_shared_memory
from smp_bringup.errors import EXIT_CODE, InstallError, SmpError
from smp_bringup.graph import MAX_RESPAWNS, RESPAWN_DELAY_S, NodeSpec
from smp_bringup.names import enclave
from smp_bringup.security import require_security

_STOP_S = 5.0
_SAID = "error: "
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class NodeDied(SmpError):
    """A process of the graph ended by itself."""


class Graph:
    """Running processes; leaving the `with` block stops them."""

    def __init__(self, nodes: Sequence[NodeSpec], log: Path | None = None) -> None:
        """Start `nodes`; their output goes to the terminal, or to the file `log`.

        Raises:
            InstallError: rclpy is not installed.
            SharedMemoryError: the nodes would not find enough of it.
            SecurityError: ROS is asked for security, and cannot give it.
        """
        prepare_environment()
        require_ros()
        free_shared_memory()
        require_shared_memory(len(nodes) + 1)  # and who drives them
        require_security([spec.full_name for spec in nodes])
        self._log: IO[bytes] | None = log.open("wb") if log else None
        self._specs = {spec.name: spec for spec in nodes}
        self._restarts = dict.fromkeys(self._specs, 0)
        self._restart_at: dict[str, float] = {}
        self._gone: set[str] = set()
        self.processes = {name: self._start(spec) for name, spec in self._specs.items()}

    def __enter__(self) -> "Graph":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Respawn what may be respawned.

        Raises:
            NodeDied: a process ended that may not, or once too often.
        """
        for name, process in self.processes.items():
            code = process.poll()
            if code is None:
                continue
            if name in self._gone:
                continue
            if not self._specs[name].respawn or self._restarts[name] >= MAX_RESPAWNS or code == EXIT_CODE:
                if not self._specs[name].needed:
                    self._gone.add(name)
                    print(f"node '{name}' ended with code {code}{self._why(code)}; the graph goes on without it")
                    continue
                raise NodeDied(f"node '{name}' ended with code {code}{self._why(code)}")
            due = self._restart_at.setdefault(name, time.monotonic() + RESPAWN_DELAY_S)
            if time.monotonic() >= due:
                del self._restart_at[name]
                self._restarts[name] += 1
                free_shared_memory()
                self.processes[name] = self._start(self._specs[name])

    def stop(self) -> None:
        """Ask every process to end, and make those that do not."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()  # at SIGINT one that still imports its modules would show where
        deadline = time.monotonic() + _STOP_S
        for process in self.processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._abort(process)
        if self._log is not None:
            self._log.close()

    def _abort(self, process: subprocess.Popen[bytes]) -> None:
        """End a process that does not stop; it says where it hangs (faulthandler in run_node)."""
        process.send_signal(signal.SIGABRT)
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self, spec: NodeSpec) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", spec.module, "--ros-args", "--enclave", enclave(spec.full_name)]
        for key, value in spec.parameters.items():
            command += ["-p", f"{key}:={_literal(value)}"]
        command += ["-r", f"__ns:={spec.namespace}"]
        for name, other in spec.remappings.items():
            command += ["-r", f"{name}:={other}"]
        # Its own session: a Ctrl-C in the terminal reaches us alone, and we stop the nodes in order. Where we cannot,
        # being killed, the nodes end by themselves.
        return subprocess.Popen(
            command,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            env=os.environ.copy(),
            preexec_fn=partial(_end_with, os.getpid()),
        )

    def _why(self, code: int) -> str:
        """Return the line with which a node refused to start, where there is a log; else where the log is."""
        if self._log is None:
            return ""
        log = Path(os.fsdecode(self._log.name))
        said = [line for line in log.read_text(errors="replace").splitlines() if line.startswith(_SAID)]
        return f": {said[-1].removeprefix(_SAID)}" if said and code == EXIT_CODE else f": see {log}"


def _end_with(launcher: int) -> None:
    """Let the kernel ask this process to end when the launcher does (more exactly, the thread that started it)."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != launcher:  # it has ended already
            os.kill(os.getpid(), signal.SIGTERM)


def require_ros() -> None:
    """Raise InstallError where rclpy cannot be imported."""
    if importable("rclpy") is None:
        raise InstallError("rclpy not found: run make setup, or source ROS 2 first")


def importable(module: str) -> object | None:
    """Return the spec of a module, or None where it cannot be imported."""
    from importlib.util import find_spec

    return find_spec(module)


def _literal(value: object) -> str:
    """Return a value as ROS parses it on a command line: as YAML, in which a text needs its quotes."""
    return json.dumps(value, ensure_ascii=False)
