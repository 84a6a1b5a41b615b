"""Fixtures of all tests: one seed, one robot, and DDS that never leaves this machine."""

import os

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)

import numpy as np
import pytest

from smp_bringup.robot import Robot, load_robot


@pytest.fixture
def rng() -> np.random.Generator:
    """The randomness of a test."""
    return np.random.default_rng(20260121)


@pytest.fixture(scope="session")
def robot() -> Robot:
    """The shipped robot."""
    return load_robot("aloha")
