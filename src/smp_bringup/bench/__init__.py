"""Measuring: closed-loop success, latency, reports."""
