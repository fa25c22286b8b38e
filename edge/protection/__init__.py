"""Data protection: how long callers' data is kept, legal holds, erasure, and what is held about one number.

Erasing takes callers' numbers, names and what was known of them; facts stay, without anybody's name, so that the chain can be
verified and every figure recomputed. All of it is done by named maintenance commands, never by `edge run` or `edge mi`, and
stands in the ledger's audit (edge/ledger/maintenance.py).
"""
