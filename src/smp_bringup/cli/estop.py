"""`smp estop`: the one verb that waits for nothing that it does not need."""

import os
import sys
from contextlib import suppress
from types import ModuleType
from typing import NoReturn

from smp_bringup.environment import prepare_environment


def stop(namespace: str) -> NoReturn:
    """Press the emergency stop of the graph in `namespace`, print what the command node says, and end the process.

    Raises:
        ConfigError: there is no DDS profile.
        SmpError: nobody was stopped, see `press`.
    """
    prepare_environment(only_stops=True)
    with suppress(OSError, AttributeError):  # not allowed here, or another system: it does without
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # a busy machine must not keep a stop waiting
    # rclpy imports numpy, 40 ms, for messages that a press has none of.
    sys.modules.setdefault("numpy", ModuleType("numpy"))
    from smp_bringup.client.press import press

    said = press(namespace)
    with suppress(OSError):  # the arms are stopped, whether anybody can be told or not
        print(said, flush=True)
    os._exit(0)  # the libraries of ROS take 0.15 s to unload, and have nothing left to say
