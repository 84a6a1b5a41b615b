"""Whether ROS is asked for security (SROS2), and whether this machine's middleware and keys can give it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from smp_bringup.errors import SmpError, one_line
from smp_bringup.names import enclave

WITHOUT = "is built without security, as PyPI's wheels are"
"""What is said of such a middleware."""


class SecurityError(SmpError):
    """ROS is asked for security and would run open, or cannot run."""


def security_asked() -> bool:
    """Return whether ROS is asked for security.

    Raises:
        SecurityError: it is asked in words that ROS takes for "run open".
    """
    enable, strategy = (os.environ.get(f"ROS_SECURITY_{name}", "") for name in ("ENABLE", "STRATEGY"))
    if enable not in ("", "true", "false"):
        raise SecurityError(f"ROS_SECURITY_ENABLE is '{one_line(enable)}', which ROS takes for off: say true or false")
    if enable == "true" and strategy not in ("Enforce", "Permissive"):
        raise SecurityError(
            f"ROS_SECURITY_STRATEGY is '{one_line(strategy)}', with which ROS runs open where keys are missing: "
            "say Enforce, or Permissive if you mean that"
        )
    if strategy == "Enforce" and not enable:
        raise SecurityError(
            "ROS_SECURITY_STRATEGY is Enforce, which ROS ignores without ROS_SECURITY_ENABLE: say true or false"
        )
    return enable == "true"


def require_security(nodes: Iterable[str]) -> None:
    """Where ROS is asked for security, try whether a process can join the graph as each of the nodes.

    Raises:
        SecurityError: one cannot.
    """
    if security_asked() and (refusal := _try(nodes, os.environ)):
        raise SecurityError(refusal)


def middleware_has_security() -> bool:
    """Return whether the middleware could enforce security: a process without keys is refused for its lack of keys."""
    with tempfile.TemporaryDirectory() as keystore:
        Path(keystore, "enclaves" + enclave("trial")).mkdir(parents=True)
        asked = {"ENABLE": "true", "STRATEGY": "Enforce", "KEYSTORE": keystore}
        env = {**os.environ, **{f"ROS_SECURITY_{name}": value for name, value in asked.items()}}
        return WITHOUT not in _try(["trial"], env)


def _try(nodes: Iterable[str], env: Mapping[str, str]) -> str:
    """Return why a process cannot join the graph as one of the nodes; nothing if it can."""
    command = [sys.executable, "-m", "smp_bringup.nodes.security_trial", *nodes]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    said = done.stderr.strip().splitlines() or [f"the trial of security ended with {done.returncode}"]
    return said[-1].removeprefix("error: ") if done.returncode else ""
