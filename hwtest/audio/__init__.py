"""Audio as numbers: signals that are spoken, what is found of them in what was heard, and quality from what was received. Pure.

Samples are 16-bit linear at 8000 Hz, as floating point arrays; levels are dBm0 by G.711.
"""
