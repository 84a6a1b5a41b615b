"""Cameras and joints brought to one instant by header stamps."""
