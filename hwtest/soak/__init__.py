"""Calls for a long time with a fault every few seconds, and the books balanced afterwards."""
