"""The DDS environment that every entry point sets, unless the user has set their own."""

import os

from smp_bringup.paths import share


def prepare_environment() -> None:
    """Keep discovery on this machine, and give Fast DDS a shared-memory segment that holds camera images."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(share("config", "fastdds.xml")))
    os.environ.setdefault("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
