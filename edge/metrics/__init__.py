"""Metrics: definitions as data, the periods of local time, and computing any figure of any period under any definition."""

DEFINITIONS_FILE = "metrics.toml"
"""A force's own definitions, beside the configuration."""
