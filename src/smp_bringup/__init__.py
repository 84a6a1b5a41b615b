"""Real-time ROS 2 control of two arms with mixtures of diffusion experts.

Importing the package imports nothing else: every heavy library (torch, MuJoCo,
rclpy) is imported by the module that needs it.
"""

__version__ = "0.1.0"
