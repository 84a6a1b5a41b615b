"""The bag format, written and read in one place: rosbag2 folders of MCAP."""
