"""Datasets of other projects: written and read."""
