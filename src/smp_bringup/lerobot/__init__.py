"""Policies of LeRobot in the place of ours: each runs in a process of its own environment, `model: lerobot:PATH`."""
