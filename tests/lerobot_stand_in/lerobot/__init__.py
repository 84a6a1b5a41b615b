"""Stands in for LeRobot where it is not installed: the four calls that our worker makes of it, and nothing else.

`make test-lerobot` runs the same worker with LeRobot itself.
"""

__version__ = "stand-in"
