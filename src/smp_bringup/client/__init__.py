"""Drives and hears a running graph from outside: demos, recording, benchmarks."""
