"""What runs in LeRobot's environment; it needs nothing of this package but the files beside it."""
