"""Real-time ROS 2 control of two arms with mixtures of diffusion experts.

Importing the package imports nothing heavy: torch, MuJoCo and rclpy are imported by
the modules that need them.
"""

import os

__version__ = "0.1.0"

# MuJoCo chooses its GL library when it is first imported, wherever that is; EGL draws without a display.
os.environ.setdefault("MUJOCO_GL", "egl")
