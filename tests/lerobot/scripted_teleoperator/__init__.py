"""A teleoperator of LeRobot that plays a motion: waists and wrists of both arms away from home, and back."""

import math
import time
from dataclasses import dataclass

from lerobot.teleoperators.config import TeleoperatorConfig
from lerobot.teleoperators.teleoperator import Teleoperator

from smp_bringup.robot import load_robot

MOVED, REACH_RAD, PERIOD_S = ("waist", "wrist_rotate"), 0.15, 3.0


@TeleoperatorConfig.register_subclass("scripted")
@dataclass(kw_only=True)
class ScriptedTeleopConfig(TeleoperatorConfig):
    robot: str = "aloha_64"
    prefix: str = ""
    degrees: bool = False
    away: float = 0.0


class ScriptedTeleop(Teleoperator):
    config_class = ScriptedTeleopConfig
    name = "scripted"
    is_connected = False
    is_calibrated = True

    def __init__(self, config):
        super().__init__(config)
        self.config, self.joints, self.begun_s = config, load_robot(config.robot).joints, None

    @property
    def action_features(self):
        return {self._key(joint): float for joint in self.joints}

    @property
    def feedback_features(self):
        return {}

    def connect(self, calibrate=True):
        self.is_connected = True

    def get_action(self):
        now_s = time.monotonic()
        self.begun_s = self.begun_s or now_s
        swing = REACH_RAD * (1 - math.cos(2 * math.pi * (now_s - self.begun_s) / PERIOD_S)) + self.config.away
        return {self._key(joint): self._told(joint, swing) for joint in self.joints}

    def _key(self, joint):
        return f"{self.config.prefix}{joint.name}.pos"

    def _told(self, joint, swing):
        position = joint.home + (swing if joint.name.endswith(MOVED) else 0.0)
        turned = math.degrees(position) if joint.turns else 1e3 * position
        return turned if self.config.degrees else position

    def calibrate(self):
        pass

    def configure(self):
        pass

    def send_feedback(self, feedback):
        pass

    def disconnect(self):
        self.is_connected = False
