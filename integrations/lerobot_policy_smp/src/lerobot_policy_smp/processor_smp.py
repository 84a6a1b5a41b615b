"""Processors of smp, where LeRobot looks for them."""

from lerobot_policy_smp.processors import make_processors as make_smp_pre_post_processors

__all__ = ["make_smp_pre_post_processors"]
