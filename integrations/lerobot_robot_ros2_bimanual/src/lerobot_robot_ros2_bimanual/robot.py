"""The robot of a running graph as a robot of LeRobot: observations of sync, actions under the command node's limits."""

from typing import Any

import numpy as np
from lerobot.robots.robot import Robot

from lerobot_robot_ros2_bimanual.config_ros2_bimanual import Ros2BimanualConfig, joint_key
from lerobot_robot_ros2_bimanual.member import GraphMember
from smp_bringup.errors import ConfigError
from smp_bringup.robot import load_robot


class Ros2Bimanual(GraphMember, Robot):
    """Joints [rad], grippers [m], and images as sync gives them to a policy."""

    config_class = Ros2BimanualConfig
    name = "ros2_bimanual"

    def __init__(self, config: Ros2BimanualConfig) -> None:
        """Read the robot file.

        Raises:
            ConfigError: LeRobot is to lead arms that have no leader arms in the robot file.
        """
        super().__init__(config)
        self.config = config
        self._body = load_robot(config.robot, config.namespace)
        if config.lead and not self._body.has_leader_arms:
            raise ConfigError(
                f"robot '{self._body.name}' has arms without leader_topic, on which LeRobot would lead them: name one "
                "for each in the robot file, or give --robot.lead=false"
            )
        self._given_ns = 0
        self.cameras = {camera.name: camera for camera in self._body.cameras if not camera.depth}
        """LeRobot counts them."""

    @property
    def observation_features(self) -> dict[str, Any]:
        """Joints, and images (h, w, 3)."""
        sizes = {name: (c.observation_height, c.observation_width, 3) for name, c in self.cameras.items()}
        return {**self.action_features, **sizes}

    @property
    def action_features(self) -> dict[str, type]:
        """The joints of all arms."""
        return dict.fromkeys(map(joint_key, self._body.joint_names), float)

    def connect(self, calibrate: bool = True) -> None:
        """Join the graph; where LeRobot leads, have the arms follow it from where they are.

        Raises:
            GraphError: the graph does not run, or the command node refuses, and why.
        """
        from lerobot_robot_ros2_bimanual.link import Link  # ROS, which no other command of LeRobot needs

        config = self.config
        self._link = link = Link.opened(config.robot, config.namespace)
        link.await_(lambda: link.seen is not None, config.wait_s, "an observation of sync")
        if config.lead:
            link.client.follow("teleop", self._stay, reset=False, timeout_s=config.wait_s)

    def _stay(self) -> None:
        """Lead the arms to where they are, until the command node follows."""
        assert self._link is not None
        if self._link.seen is not None:
            self._link.lead(self._link.seen.position)

    def get_observation(self) -> dict[str, Any]:
        """Return the newest set of sync, one that was not given before; raises GraphError where none comes."""
        assert self._link is not None, "connect first"
        link = self._link
        link.drain()
        link.await_(
            lambda: link.seen is not None and link.seen.stamp_ns > self._given_ns, self.config.wait_s, "an observation"
        )
        assert link.seen is not None
        self._given_ns = link.seen.stamp_ns
        joints = zip(map(joint_key, self._body.joint_names), map(float, link.seen.position), strict=True)
        return {**dict(joints), **{name: link.seen.images[name] for name in self.cameras}}

    def send_action(self, action: dict[str, Any]) -> dict[str, Any]:
        """Lead the arms there, where LeRobot leads; return the action. What is unsafe the command node limits."""
        assert self._link is not None, "connect first"
        if self.config.lead:
            self._link.lead(np.array([float(action[joint_key(name)]) for name in self._body.joint_names]))
        return action

    def disconnect(self) -> None:
        """Have the arms rest where they are, armed, where LeRobot led them; leave the graph."""
        if self._link is None:
            return
        link, self._link = self._link, None
        try:
            if self.config.lead:
                link.client.trigger("command/hold")
        finally:
            link.close()
