"""Writing rosbag2 bags."""
