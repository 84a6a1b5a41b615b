"""ROS 2 nodes: parameters, message conversion, one core call, publish."""
