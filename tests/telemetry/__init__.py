"""Counts for Prometheus, and what is made of them."""
