"""Processors of dibm, where LeRobot looks for them."""

from lerobot_policy_smp.processors import make_processors as make_dibm_pre_post_processors

__all__ = ["make_dibm_pre_post_processors"]
