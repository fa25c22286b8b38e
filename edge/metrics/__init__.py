"""Metrics: definitions as data, the periods of local time, and computing any figure of any period under any definition."""
