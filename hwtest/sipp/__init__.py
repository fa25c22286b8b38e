"""SIPp as an instrument: signalling load by its scenarios, counted by its own counters, timed by the capture and never by SIPp.

SIPp's clock has a grid of 4 ms (CLOCK_MONOTONIC_COARSE), so no response time is ever taken from it.
"""
