"""`edge ship`: an appliance's ledger copied by cursor into a PostgreSQL database that many appliances share (ADR 0015).

`schema` is that database, `target` writes into it, `shipping` reads the ledger, checks its chain and keeps going.
"""
