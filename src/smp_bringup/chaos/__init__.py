"""Breaks arms, sources and processes around the command node, and judges what it commands."""
