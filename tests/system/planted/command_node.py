"""The command node with one fault planted in it, which the environment variable PLANTED names."""

import os

from diagnostic_msgs.msg import DiagnosticStatus

from smp_bringup.nodes import command_report
from smp_bringup.nodes.command_node import main
from smp_bringup.safety.command import CommandCore
from smp_bringup.safety.estop import EmergencyStop
from smp_bringup.safety.modes import Mode, Reply
from smp_bringup.types import PASS

press, disarm = CommandCore.estop, CommandCore.disarm


def release_unlatches(core, pressed, channel="service"):
    reply = press(core, pressed, channel)
    if not pressed and channel == "service":
        core._latched, core._live = PASS, False
        core._enter(Mode.DISARMED)
    return reply


def ignores(core, pressed, channel="service"):
    return Reply(True, "emergency stop")


def dies(core, pressed, channel="service"):
    if pressed:
        os._exit(3)
    return press(core, pressed, channel)


def disarms(core):
    """Leave a latched mode, too."""
    core._latched = PASS
    core._enter(Mode.DISARMED)
    return disarm(core)


def goes_on(core):
    """Say that it is disarmed, and publish on."""
    armed, reply = core.mode.armed, disarm(core)
    if armed:
        core._live = True
        type(core._limiter).at_rest = property(lambda limiter: False)
    return reply


PLANTED = {
    "a release unlatches the stop": lambda: setattr(CommandCore, "estop", release_unlatches),
    "a press is ignored": lambda: setattr(CommandCore, "estop", ignores),
    "a press ends the process": lambda: setattr(CommandCore, "estop", dies),
    "a reset is done while the stop is pressed": lambda: setattr(EmergencyStop, "pressed", property(lambda _: False)),
    "disarming unlatches the stop": lambda: setattr(CommandCore, "disarm", disarms),
    "reports are always well": lambda: setattr(command_report, "_level", lambda _: (DiagnosticStatus.OK, "")),
    "commands go on after disarming": lambda: setattr(CommandCore, "disarm", goes_on),
}

if __name__ == "__main__":
    PLANTED[os.environ["PLANTED"]]()
    main()
