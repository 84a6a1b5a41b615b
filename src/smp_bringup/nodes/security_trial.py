"""Joins the ROS graph once as each of the nodes named, or says why security keeps it out (`require_security`)."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from smp_bringup.environment import prepare_environment
from smp_bringup.errors import EXIT_CODE, OutputError, SmpError, one_line
from smp_bringup.names import enclave
from smp_bringup.security import WITHOUT, SecurityError, security_asked

_LONGEST = 300
_NO_LOGS = "failed to initialize logging: "
"""How rclpy begins what it says of a folder that it cannot make, or of a home that nobody has."""


@contextmanager
def security_explained() -> Iterator[None]:
    """Let what keeps a process out of a graph be one line.

    Raises:
        OutputError: ROS has no place for its logs.
        SecurityError: the block cannot join the graph, or uses what its policy does not name.
    """
    asked = security_asked()
    try:
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning) if asked else nullcontext():
            yield  # rclpy warns of what it cannot take down again
    except RuntimeError as error:
        if _NO_LOGS in str(error):
            why = one_line(str(error).partition(_NO_LOGS)[2].split(", at /")[0])[:_LONGEST]
            raise OutputError(f"ROS cannot write its logs ({why}): set ROS_LOG_DIR to a folder of yours") from None
        if not asked:
            raise
        raise SecurityError(f"security is asked for, and {_reason(str(error))}") from None


def _reason(error: str) -> str:
    if "security libraries" in error:
        return f"this middleware {WITHOUT}: take a full ROS 2 installation, or unset ROS_SECURITY_ENABLE"
    why = "no ROS_SECURITY_KEYSTORE" if "error not set" in error else one_line(error.split(", at /")[0])[:_LONGEST]
    return f"does not let us in: {why}: make the keystore as docs/security.md says"


def main(names: list[str]) -> None:
    """Join as each of them; exit code 2 and one line on stderr where that is refused."""
    try:
        prepare_environment()
        for name in names:
            with security_explained():
                _join(name)
    except SmpError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)


def _join(name: str) -> None:
    context = Context()
    rclpy.init(args=["--ros-args", "--enclave", enclave(name)], context=context)
    quiet = [Parameter("start_type_description_service", value=False)]
    Node("smp_trial", context=context, start_parameter_services=False, parameter_overrides=quiet).destroy_node()
    context.try_shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
