"""Data of others in terms of a robot file: which entry is which joint, in which unit; how LeRobot lays out files."""
